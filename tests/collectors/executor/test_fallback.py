import os
import threading
from typing import Any

import numpy as np
import pytest

from collectors.errors import PlanError
from collectors.executor.fallback import FallbackExecutor
from collectors.executor.outcome import outcome
from tests import networks

CORE = sorted(os.sched_getaffinity(0))[0]
MODEL = networks.convolution_network().SerializeToString()
SHAPES = {"x": (1, 3, 32, 32)}
X = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
NODES = ["c1", "n1", "r1", "c2", "r2", "p", "f", "y"]


def plan(processor: str = "a", split: Any = None) -> dict[str, Any]:
    return {
        "stages": [
            {"id": 0, "model": 0, "operators": NODES, "processor": processor, "split": split, "start_us": 0.0}
        ]
    }


def test_a_plan_that_works_is_executed_and_can_be_reported() -> None:
    with FallbackExecutor(MODEL, plan(), {"a": CORE}, SHAPES) as executor:
        execution = executor.run({"x": X})
    assert executor.reason is None
    report = outcome(execution, 1_790_000_000_000_000, {"run_queue": 1}, propensity=0.98, alternatives=["p2"])
    assert report["latency_us"] == execution.latency_us > 0
    assert [item["id"] for item in report["stages"]] == [0]
    assert (report["propensity"], report["alternatives"]) == (0.98, ["p2"])


def test_a_plan_that_cannot_be_built_gives_the_whole_models_result_and_no_outcome() -> None:
    with FallbackExecutor(MODEL, plan(), {"a": CORE}, SHAPES) as executor:
        expected = executor.run({"x": X}).outputs["y"]
    split = {"dimension": "height", "range": [0.0, 0.5]}
    with FallbackExecutor(MODEL, plan(split=split), {"a": CORE}, SHAPES) as executor:
        execution = executor.run({"x": X})
    assert "cannot be split" in str(executor.reason)
    np.testing.assert_allclose(execution.outputs["y"], expected, rtol=1e-4)
    with pytest.raises(PlanError, match="not the plan was executed"):
        outcome(execution, 0, {})


def test_a_core_taken_away_gives_the_whole_models_result() -> None:
    threads = threading.active_count()
    with FallbackExecutor(MODEL, plan("b"), {"a": CORE, "b": 4095}, SHAPES) as executor:
        assert executor.reason is None
        first, second = executor.run({"x": X}), executor.run({"x": X})
    assert "core 4095 cannot be used" in str(first.fallback_reason)
    assert first.fallback_reason == second.fallback_reason
    np.testing.assert_array_equal(first.outputs["y"], second.outputs["y"])
    assert threading.active_count() == threads


def test_inputs_that_fit_neither_are_a_clear_error_and_the_plan_stays() -> None:
    with FallbackExecutor(MODEL, plan(), {"a": CORE}, SHAPES) as executor:
        with pytest.raises(PlanError, match="neither the plan nor the whole model runs"):
            executor.run({"z": X})
        assert executor.run({"x": X}).fallback_reason is None
