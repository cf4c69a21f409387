"""`socast replay` from file to report: deterministic, causal, and complete."""

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import build
from app.errors import SocastError
from app.services.replay import ReplayOptions, replay
from app.services.replay_report import COLUMNS
from app.services.traces import in_time, read_trace
from tests import phone
from tests.traces import trace

Batches = Sequence[dict[str, Any]]


def write(path: Path, batches: Batches, *, compressed: bool = False) -> Path:
    text = "".join(json.dumps(batch) + "\n" for batch in batches).encode()
    path.write_bytes(gzip.compress(text) if compressed else text)
    return path


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    return write(tmp_path / "calm.ndjson.gz", phone.session(60, 0, seed=1), compressed=True)


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    return write(tmp_path / "stream.ndjson", phone.session(0, 40, seed=2))


def predictions(path: Path, out: Path, options: ReplayOptions) -> list[dict[str, str]]:
    replay(path, options).write_predictions(out)
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_prints_a_report_and_writes_a_line_a_run(
    stream: Path, calibration: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    arguments = ["replay", str(stream), "--calibration", str(calibration), "--predictions", str(out)]
    done = CliRunner().invoke(build(), [*arguments, "--unseen", "large", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert set(report["condition"]) == {"s0", "s1"}
    assert set(report["after_change"]) == {"1-5", "6-20", "later"}
    assert report["unseen"]["n"] > 0
    runtime = report["all"]["rungs"]["runtime"]
    assert {"mape", "bias", "pinball", "coverage", "width", "winkler"} <= set(runtime["run"])
    assert {"mape", "bias", "mean_abs_log_ratio"} <= set(runtime["operator"])
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 81
    assert all(field for row in rows for field in row)
    assert {row[-1] for row in rows[1:] if row[3] == "large"} == {"1"}


def test_replaying_twice_gives_the_same_predictions(stream: Path, calibration: Path, tmp_path: Path) -> None:
    options = ReplayOptions(calibration=calibration)
    once = predictions(stream, tmp_path / "a.csv", options)
    assert once == predictions(stream, tmp_path / "b.csv", options)


def test_a_run_and_everything_later_changes_nothing_before(
    stream: Path, calibration: Path, tmp_path: Path
) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()]
    place = 50
    for batch in batches[place:]:
        for run in batch["runs"]:
            run["total_us"] *= 5.0
            run["latency_us"] = [latency * 5.0 for latency in run["latency_us"]]
            run["condition"] = "s9"
    changed = write(tmp_path / "changed.ndjson", batches)
    options = ReplayOptions(calibration=calibration)
    before = predictions(stream, tmp_path / "a.csv", options)
    after = predictions(changed, tmp_path / "b.csv", options)
    columns = [name for name in COLUMNS if name not in ("measured_us", "condition")]
    assert [[row[name] for name in columns] for row in before[: place + 1]] == [
        [row[name] for name in columns] for row in after[: place + 1]
    ]
    assert before[place + 1 :] != after[place + 1 :]


def test_feedback_that_comes_late_is_used_late(stream: Path, calibration: Path, tmp_path: Path) -> None:
    at_once = predictions(stream, tmp_path / "a.csv", ReplayOptions(calibration=calibration))
    never = predictions(
        stream, tmp_path / "b.csv", ReplayOptions(calibration=calibration, feedback_delay_ms=1e9)
    )
    assert [row["runtime_us"] for row in at_once] != [row["runtime_us"] for row in never]
    assert [row["offline_us"] for row in at_once] == [row["offline_us"] for row in never]


def test_a_new_framework_starts_the_state_anew_at_its_first_run(
    stream: Path, calibration: Path, tmp_path: Path
) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()]
    for batch in batches[50:]:
        batch["runs"][0]["framework"] = "onnxruntime 1.32.0"
    changed = write(tmp_path / "changed.ndjson", batches)
    options = ReplayOptions(calibration=calibration)
    rows = zip(
        predictions(stream, tmp_path / "a.csv", options),
        predictions(changed, tmp_path / "b.csv", options),
        strict=True,
    )
    widths = [[float(row["runtime_high_us"]) - float(row["runtime_low_us"]) for row in pair] for pair in rows]
    assert all(before == after for before, after in widths[:50])
    assert widths[50][1] != widths[50][0]


def test_without_a_calibration_the_first_runs_serve(stream: Path, tmp_path: Path) -> None:
    rows = predictions(stream, tmp_path / "a.csv", ReplayOptions(offline_runs=20))
    frozen = {row["model"]: row["offline_us"] for row in rows[25:]}
    assert len(frozen) == 3
    assert all(row["offline_us"] == frozen[row["model"]] for row in rows[25:])


def test_faulty_runs_are_left_out_and_counted(stream: Path, calibration: Path, tmp_path: Path) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()]
    batches[3]["runs"][0]["total_us"] = -1.0
    done = replay(write(tmp_path / "faulty.ndjson", batches), ReplayOptions(calibration=calibration))
    assert len(done.scored) == 79
    assert done.report()["faults"] == 1


def test_what_was_left_out_or_known_beforehand_is_said(
    stream: Path, calibration: Path, tmp_path: Path
) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()][:3]
    batches[1]["runs"][0]["total_us"] = -1.0
    with gzip.open(calibration) as lines:
        batches.append(json.loads(next(lines)))
    again = write(tmp_path / "again.ndjson", batches)
    done = CliRunner().invoke(build(), ["replay", str(again), "--calibration", str(calibration), "--json"])
    assert done.exit_code == 0, done.output
    assert "line 2: /runs/0/total_us" in done.stderr
    assert "1 runs are in --calibration too" in done.stderr
    assert json.loads(done.stdout)["all"]["n"] == 3


def test_a_run_that_was_sent_again_counts_once(stream: Path, tmp_path: Path) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()]
    once = read_trace(stream)
    twice = read_trace(write(tmp_path / "twice.ndjson", [batch for batch in batches for _ in range(2)]))
    assert [run.run_id for run in twice.runs] == [run.run_id for run in once.runs]
    assert twice.duplicates == len(once.runs)


def test_runs_of_devices_whose_batches_overlap_are_taken_as_they_started(tmp_path: Path) -> None:
    """Else one phone's predictions would know of the other's later runs."""
    batches = [*phone.session(0, 3), *phone.session(0, 3, device_id="phone-2")]
    runs = in_time(read_trace(write(tmp_path / "a.ndjson", batches)).runs)
    assert [run.query.device_id for run in runs] == ["phone-1", "phone-2"] * 6
    done = replay(tmp_path / "a.ndjson", ReplayOptions())
    done.write_predictions(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        written = [row["run_id"] for row in csv.DictReader(file)]
    assert written == [batch["runs"][0]["run_id"] for batch in batches]


def test_a_clock_gone_back_keeps_the_order_of_the_trace(stream: Path, tmp_path: Path) -> None:
    batches = [json.loads(line) for line in stream.read_text().splitlines()]
    for batch in batches[20:40]:
        batch["runs"][0]["started_at"] = "1970" + batch["runs"][0]["started_at"][4:]
    runs = read_trace(write(tmp_path / "back.ndjson", batches)).runs
    assert in_time(runs) == runs


def test_each_of_many_processors_gets_a_calm_profile_of_its_own(tmp_path: Path) -> None:
    """Nine runs of each: no tenth of the trace is ever seen of one processor alone."""
    names = [f"cpu-{threads}" for threads in range(1, 9)]
    many = [batch for name in names for batch in phone.session(9, 0, processor=name)]
    for batch in many:
        batch["runs"][0].pop("calibration")
    done = replay(write(tmp_path / "many.ndjson", many), ReplayOptions())
    late = [item for item in done.scored if item.run.query.key.processor == "cpu-8"][-3:]
    assert all(item.learned for item in late)
    told = done.report()["calm"]["SoC 1/cpu-8/onnxruntime"]
    assert told == {"source": "first runs", "runs": 4, "frozen": True}
    report = done.report()["processor"]["cpu-8"]["rungs"]["calm"]["run"]
    assert report["median_ape"] < 0.3


@pytest.mark.parametrize("option", ["--calibration", "--history"])
def test_an_earlier_trace_without_runs_is_refused(stream: Path, tmp_path: Path, option: str) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    done = CliRunner().invoke(build(), ["replay", str(stream), option, str(empty)])
    assert isinstance(done.exception, SocastError)
    assert f"{option} {empty}" in str(done.exception)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(stream: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "out.csv"):
        done = CliRunner().invoke(build(), ["replay", str(stream), "--predictions", str(place)])
        assert done.exit_code == 2
        assert "--predictions" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8bnot really gzip", "damaged"),
        (gzip.compress(b"x" * 2_000, mtime=0)[:12] + b"\xff" * 40, "damaged"),
        (b"no json\n", "line 1"),
        (None, "no such trace"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "trace.ndjson"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SocastError, match=words):
        replay(path, ReplayOptions())


def test_an_unknown_unseen_model_is_refused_with_those_there_are(stream: Path) -> None:
    with pytest.raises(SocastError, match="large, middle, small"):
        replay(stream, ReplayOptions(unseen=("nobody",)))


def test_the_phones_trace_is_predicted_without_any_context() -> None:
    done = replay(trace("dev-phones.ndjson.gz"), ReplayOptions(offline_runs=5))
    assert len(done.scored) == 174
    assert all(item.forecasts for item in done.scored)
