"""The whole agent, with real models, loads and processes, against a server on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from collectors.agent import AgentOptions, run
from collectors.errors import CollectorError
from collectors.spool import Spool
from tests.loopback import Answer, Loopback, loopback
from tests.processes import LIMIT_S, descendants, is_running, wait_until
from tests.sessions import until

CORE = f"cpu:{sorted(os.sched_getaffinity(0))[-1]}"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as state:
        yield state


def options(server: Loopback, models: Path, tmp_path: Path, **changes: Any) -> AgentOptions:
    given = {
        "server": server.url,
        "spool": tmp_path / "spool.sqlite",
        "models": str(models),
        "conditions": ("s1",),
        "processors": (CORE,),
        "device_id": "test-device",
        "seed": 7,
    }
    return AgentOptions(**(given | changes))


def all_runs(server: Loopback) -> list[dict[str, Any]]:
    return [run for batch in server.batches for run in batch["runs"]]


def test_a_session_measures_uploads_and_leaves_nothing_behind(
    server: Loopback, models: Path, tmp_path: Path
) -> None:
    affinity = os.sched_getaffinity(0)
    events: list[Any] = []

    def enough(_: Any) -> bool:
        kinds = {(run["condition"], run["profiled"]) for run in all_runs(server)}
        return kinds == {(condition, profiled) for condition in ("s0", "s1") for profiled in (True, False)}

    counts = until(enough, options(server, models, tmp_path), events.append)
    runs = all_runs(server)
    assert counts["uploaded"] == counts["spooled"] == len(runs) > 10
    assert {run["condition"] for run in runs} == {"s0", "s1"}
    assert {run["model"]["name"] for run in runs} == {"small", "loop", "slices"}
    calibration = [run for run in runs if run.get("calibration")]
    assert calibration
    assert {run["condition"] for run in calibration} == {"s0"}
    assert {run["profiled"] for run in runs} == {True, False}
    assert sum(run["profiled"] for run in runs) > sum(not run["profiled"] for run in runs)
    assert all(bool(run["latency_us"]) == run["profiled"] for run in runs)
    assert any(run["context"]["first_run"] for run in runs)
    starts = [run["started_at"] for run in runs]
    assert starts == sorted(starts)
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "finished"
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"socast-agent-{os.getpid()}-*"))
    children = [child for child in psutil.Process().children() if is_running(child.pid)]
    assert not [child for child in children if "collectors" in " ".join(child.cmdline())]
    assert os.sched_getaffinity(0) == affinity


def test_what_was_measured_while_the_server_was_away_comes_later(
    server: Loopback, models: Path, tmp_path: Path
) -> None:
    server.answer = lambda _: Answer(503)
    counts = until(lambda event: event["runs"] > 0, options(server, models, tmp_path), drain_s=0.2)
    waiting = counts["pending"]
    assert isinstance(waiting, int)
    assert waiting == counts["spooled"] > 0
    server.answer = Loopback().answer
    later = until(lambda event: event["runs"] > 0, options(server, models, tmp_path))
    assert later["pending"] == 0
    ids = [run["run_id"] for run in all_runs(server)]
    assert len(set(ids)) == len(ids) == later["spooled"]


def test_a_model_that_cannot_run_is_skipped_and_named(server: Loopback, models: Path, tmp_path: Path) -> None:
    (models / "broken.onnx").write_bytes(b"no model")
    events: list[Any] = []
    names = {"small", "loop", "slices"}

    def enough(_: Any) -> bool:
        return {run["model"]["name"] for run in all_runs(server)} >= names

    until(enough, options(server, models, tmp_path), events.append)
    (skipped,) = [event for event in events if event["event"] == "model_skipped"]
    assert skipped["model"] == "broken"
    assert {run["model"]["name"] for run in all_runs(server)} == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": "/nowhere"}, "there is no folder"),
        ({"conditions": ("s9",)}, "no condition 's9'"),
        ({"processors": ("cpu:9999",)}, "no processor 'cpu:9999'"),
    ],
)
def test_wrong_options_are_clear_errors(
    server: Loopback, models: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CollectorError, match=message):
        run(replace(options(server, models, tmp_path), **changes))


def test_pairs_run_beside_another_model_where_there_are_two_processors(
    server: Loopback, models: Path, tmp_path: Path
) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    processors = tuple(f"cpu:{core}" for core in cores)

    def pairs_seen() -> list[dict[str, Any]]:
        return [run for run in all_runs(server) if run["condition"] == "pair"]

    given = options(server, models, tmp_path, conditions=("pair",), processors=processors)
    until(lambda _: bool(pairs_seen()), given)
    pairs = pairs_seen()
    assert bool(pairs) == (len(cores) > 1)
    assert all(run["context"]["neighbour_bytes_per_us"] > 0 for run in pairs)


def test_stop_ends_a_session_at_once(server: Loopback, models: Path, tmp_path: Path) -> None:
    counts = until(lambda _: True, options(server, models, tmp_path))
    assert counts["pending"] == 0
    assert counts["uploaded"] == len(all_runs(server)) > 0


PROGRAM = f"""
from collectors import schedule, session
schedule.CALIBRATION_S, schedule.LONGEST_EPISODE_S, session.DRAIN_S = 1.0, 600.0, {LIMIT_S}
from app.cli import main
main()
"""
"""The command with a short calibration, then one long episode."""


def command(server: Loopback, models: Path, tmp_path: Path) -> list[str]:
    return [
        *(
            sys.executable,
            "-c",
            PROGRAM,
            "agent",
            "--json",
            "--server",
            server.url,
            "--models",
            str(models),
        ),
        *(
            "--conditions",
            "s3",
            "--processors",
            CORE,
            "--spool",
            str(tmp_path / "spool.sqlite"),
            "--seed",
            "1",
        ),
    ]


@contextmanager
def started(
    server: Loopback, models: Path, tmp_path: Path, until: str
) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Start the command; yield it and its children once an event's text contains `until`."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command(server, models, tmp_path), stdout=subprocess.PIPE, env=environment, cwd=tmp_path
    ) as child:
        try:
            assert child.stdout is not None
            found = (line for line in child.stdout if until in json.dumps(json.loads(line)))
            assert next(found, None), f"ended before {until!r}"
            yield child, descendants(child.pid)
        finally:
            child.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_cleanly(
    server: Loopback, models: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    with started(server, models, tmp_path, '"condition": "s3"') as (child, helpers):
        assert len(helpers) == 3, "the uploader and two loads"
        child.send_signal(sent)
        assert child.wait(LIMIT_S) == 0
    assert not any(map(is_running, helpers))
    spool = Spool(tmp_path / "spool.sqlite")
    assert spool.count("spooled") == spool.count("uploaded") == len(all_runs(server)) > 0
    assert not list(tmp_path.glob("socast-agent-*"))


def test_a_kill_without_notice_leaves_no_process_and_loses_nothing_spooled(
    server: Loopback, models: Path, tmp_path: Path
) -> None:
    server.answer = lambda _: Answer(503)
    with started(server, models, tmp_path, '"condition": "s3"') as (child, helpers):
        os.kill(child.pid, signal.SIGKILL)
        child.wait(LIMIT_S)
    wait_until(lambda: not any(map(is_running, helpers)), "no process outlives the agent")
    spool = Spool(tmp_path / "spool.sqlite")
    assert spool.pending() == spool.count("spooled") > 0
    before = {json.loads(record.body)["run_id"] for record in spool.oldest(10**6, 10**12)}
    spool.close()
    server.answer = Loopback().answer
    until(lambda _: True, options(server, models, tmp_path))
    assert before <= {run["run_id"] for run in all_runs(server)}
