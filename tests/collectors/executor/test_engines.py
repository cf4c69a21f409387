"""OpenVINO beside ONNX Runtime in one plan, and plans of several models."""

import os
import sys
from typing import Any

import numpy as np
import pytest

from collectors.errors import PlanError
from collectors.executor.execution import Execution
from collectors.executor.fallback import FallbackExecutor
from collectors.executor.plan_executor import PlanExecutor
from tests import networks

CORES = sorted(os.sched_getaffinity(0))
PROCESSORS = {"cpu:0": CORES[0], "cpu:1": CORES[-1], "ov:0": CORES[0], "ov:1": CORES[-1]}
MODELS = [networks.convolution_network(seed).SerializeToString() for seed in (1, 2)]
SHAPES = {"x": (1, 3, 32, 32)}
INPUTS = [{"x": np.random.default_rng(seed).random(SHAPES["x"], dtype=np.float32)} for seed in (1, 2)]
NODES = ["c1", "n1", "r1", "c2", "r2", "p", "f", "y"]


def stage(number: int, processor: str, nodes: list[str], **fields: Any) -> dict[str, Any]:
    known = {"id": number, "model": 0, "operators": nodes, "processor": processor, "start_us": float(number)}
    return {**known, "split": None, "after": [], **fields}


def run(plan: list[dict[str, Any]], models: int = 1, releases_us: tuple[float, ...] = ()) -> Execution:
    with PlanExecutor(
        MODELS[:models], {"stages": plan}, PROCESSORS, SHAPES, releases_us=releases_us
    ) as executor:
        return executor.run(INPUTS[:models])


def whole(model: int) -> np.ndarray:
    with PlanExecutor(MODELS[model], {"stages": [stage(0, "cpu:0", NODES)]}, PROCESSORS, SHAPES) as executor:
        return executor.run(INPUTS[model]).outputs["y"]


def half(low: float, high: float) -> dict[str, Any]:
    return {"split": {"dimension": "out_channels", "range": [low, high]}}


@pytest.mark.parametrize(
    "plan",
    [
        [stage(0, "ov:0", NODES)],
        [stage(0, "ov:0", NODES[:3]), stage(1, "cpu:1", NODES[3:])],
        [stage(0, "cpu:0", NODES[:3]), stage(1, "ov:1", NODES[3:])],
        [
            stage(0, "ov:0", NODES[:3], **half(0.0, 0.5)),
            stage(1, "cpu:1", NODES[:3], **half(0.5, 1.0)),
            stage(2, "ov:1", NODES[3:]),
        ],
    ],
    ids=["whole", "first", "second", "split"],
)
def test_openvino_gives_the_same_results(plan: list[dict[str, Any]]) -> None:
    expected = whole(0)
    np.testing.assert_allclose(run(plan).outputs["y"], expected, atol=1e-4 * float(np.abs(expected).max()))


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    plan = {"stages": [stage(0, "ov:0", NODES)]}
    with pytest.raises(PlanError, match=r"install socast\[openvino\]"):
        PlanExecutor(MODELS[0], plan, PROCESSORS, SHAPES)
    with FallbackExecutor(MODELS[0], plan, PROCESSORS, SHAPES) as executor:
        execution = executor.run(INPUTS[0])
    assert "install socast[openvino]" in str(execution.fallback_reason)
    np.testing.assert_allclose(execution.outputs["y"], whole(0), rtol=1e-4)


def test_two_models_run_at_once_and_give_their_own_results() -> None:
    plan = [stage(0, "cpu:0", NODES), stage(1, "cpu:1", NODES, model=1)]
    execution = run(plan, 2)
    for model, outputs in enumerate(execution.results):
        np.testing.assert_allclose(outputs["y"], whole(model), rtol=1e-4)


def test_a_model_waits_for_those_that_must_finish_first() -> None:
    plan = [stage(0, "cpu:0", NODES), stage(1, "cpu:1", NODES, model=1, after=[0])]
    first, second = sorted(run(plan, 2).stages, key=lambda item: item.id)
    assert second.start_us >= first.end_us


def test_a_model_starts_no_earlier_than_its_release() -> None:
    plan = [stage(0, "cpu:0", NODES), stage(1, "cpu:1", NODES, model=1)]
    _, second = sorted(run(plan, 2, releases_us=(0.0, 20_000.0)).stages, key=lambda item: item.id)
    assert second.start_us >= 20_000.0


def test_inputs_of_every_model_are_asked_for() -> None:
    plan = {"stages": [stage(0, "cpu:0", NODES), stage(1, "cpu:1", NODES, model=1)]}
    with (
        PlanExecutor(MODELS, plan, PROCESSORS, SHAPES) as executor,
        pytest.raises(PlanError, match="inputs of 1 models were given, the plan has 2"),
    ):
        executor.run(INPUTS[0])
