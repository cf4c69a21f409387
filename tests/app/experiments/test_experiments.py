"""Every experiment, for real: a small network, few seconds, real load, real executed plans."""

import importlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest

from app.errors import ConflictError
from app.experiments import strategies
from app.experiments.experiment import Options
from app.experiments.folder import Journal
from collectors.agent import AgentOptions, Counts, Event
from tests import networks
from tests.sessions import until

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with fixed shapes."""
    network = networks.convolution_network()
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    path.write_bytes(network.SerializeToString())
    assert onnx.load(path)
    return path


def options(folder: Path, model: Path, seconds: float) -> Options:
    return Options(folder, minutes=seconds / 60, models=str(model), processors=names())


def names() -> tuple[str, ...]:
    return tuple(f"cpu:{core}" for core in sorted(os.sched_getaffinity(0))[:2])


def measured(options: AgentOptions, on_event: Callable[[Event], None], _: threading.Event) -> Counts:
    """Have an agent calibrate and see a condition, however long that takes."""
    seen: set[str] = set()

    def note(event: Event) -> None:
        on_event(event)
        if event["event"] == "episode" and not event["calibration"]:
            seen.add(str(event["condition"]))

    return until(lambda _: bool(seen), options, note)


def test_every_experiment_measures_and_tells_and_tells_again(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.experiments.training.run_agent", measured)
    first = tmp_path / "strategies"
    strategies.run(options(first, model, 10.5))
    trained = (first / "journal.ndjson").read_text().splitlines()[:2]
    for kind in ("strategies", "errors", "granularity", "overhead", "fallback"):
        folder = tmp_path / kind
        if folder != first:  # goes on from what was learned already, as after a kill
            shutil.copytree(first, folder, symlinks=True)
            lines = [line.replace('"strategies"', f'"{kind}"') for line in trained]
            (folder / "journal.ndjson").write_text("\n".join(lines) + "\n")
        experiment = importlib.import_module(f"app.experiments.{kind}")
        summary = experiment.run(options(folder, model, 10.5)).summary
        assert summary == json.loads((folder / "summary.json").read_text())
        assert len(pd.read_csv(summary["raw"])) > 0
        page = (folder / "page.md").read_text()
        pictures = re.findall(r"\((\w+)\.svg\)", page)
        assert pictures
        for name in pictures:
            assert (folder / f"{name}.svg").read_text().startswith("<svg")
            assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        check = {"strategies": check_strategies, "granularity": check_granularity}.get(kind)
        if check is not None:
            check(summary)
    journal = (first / "journal.ndjson").read_text()
    again = strategies.run(options(first, model, 10.5)).summary
    assert (first / "journal.ndjson").read_text() == journal
    assert again["regret"] == json.loads((first / "summary.json").read_text())["regret"]


def check_strategies(summary: Mapping[str, Any]) -> None:
    raw = pd.read_csv(summary["raw"])
    assert {"plan_mape", "choice_gain", "regret", "best_two_processor_speedup"} <= summary.keys()
    assert summary["executions"] == len(raw)
    assert set(summary["choice_gain"]) == {*raw["condition"], "overall"}
    for rungs in summary["choice_gain"].values():
        for gain in rungs.values():
            assert 0 < gain["low"] <= gain["value"] <= gain["high"]
    assert summary["regret"]["n"] >= 1
    for _, cell in raw.groupby("cell"):
        assert cell.groupby("plan_id").size().min() >= 7
        spans = cell.groupby("round")["started_at_us"].agg(["min", "max"])
        assert (spans["min"].to_numpy()[1:] >= spans["max"].to_numpy()[:-1]).all()


def check_granularity(summary: Mapping[str, Any]) -> None:
    assert set(summary["latency_us"]) == {"subgraph", "inter_operator", "intra_operator", "task"}
    for by_count in summary["latency_us"].values():
        assert set(by_count) == set("01234")


def test_a_folder_of_another_experiment_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path, "errors")
    with pytest.raises(ConflictError, match="holds the experiment 'errors'"):
        Journal(tmp_path, "strategies")


def test_a_half_written_step_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "errors")
    journal.put("trained", session_s=3.0)
    path = tmp_path / "journal.ndjson"
    path.write_bytes(path.read_bytes() + b'{"step": "tra')
    again = Journal(tmp_path, "errors")
    assert [step["session_s"] for step in again.all("trained")] == [3.0]
    assert path.read_bytes().endswith(b"}\n")
