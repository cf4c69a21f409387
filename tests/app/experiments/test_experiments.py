"""Every experiment, for real: a small network, few seconds, real load, real executed plans."""

import json
import os
from pathlib import Path

import onnx
import pandas as pd
import pytest

from app.errors import ConflictError
from app.experiments import strategies
from app.experiments.experiment import Options
from app.experiments.folder import Journal
from tests import networks

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


def test_strategies_measures_and_tells_and_tells_again(tmp_path: Path, model: Path) -> None:
    asked = options(tmp_path, model, 16.0)
    summary = strategies.run(asked).summary
    assert summary == json.loads((tmp_path / "summary.json").read_text())
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
    page = (tmp_path / "page.md").read_text()
    for name in ("choices", "predicted"):
        assert f"({name}.svg)" in page
        assert (tmp_path / f"{name}.svg").read_text().startswith("<svg")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    journal = (tmp_path / "journal.ndjson").read_text()
    again = strategies.run(asked).summary
    assert (tmp_path / "journal.ndjson").read_text() == journal
    assert again["choice_gain"] == summary["choice_gain"]


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
