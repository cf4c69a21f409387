"""Executed plans give what the whole model gives, on generated graphs and on real architectures."""

import itertools
import os
import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from app.planning.plan import Plan
from app.planning.planner import plan as plan_for
from app.planning.problem import ModelRequest, Processor
from app.planning.request import PlanningRequest
from collectors.errors import PlanError
from collectors.executor.execution import Execution
from collectors.executor.plan_executor import PlanExecutor
from collectors.models import find_models
from predictors import fusion
from predictors.onnx_reader import read
from tests import networks
from tests.planning_cases import HashedCosts
from tests.random_weights import with_random_weights

CORES = sorted(os.sched_getaffinity(0))
PROCESSORS = {"a": CORES[0], "b": CORES[-1]}
TOLERANCE = 1e-4


def reference(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def stage(number: int, operators: Sequence[str], processor: str, split: Any = None) -> dict[str, Any]:
    dimension, low, high = split or (None, 0.0, 1.0)
    return {
        "id": number,
        "model": 0,
        "operators": list(operators),
        "processor": processor,
        "split": {"dimension": dimension, "range": [low, high]} if split else None,
        "start_us": float(number),
    }


def build(model: onnx.ModelProto, plan: dict[str, Any]) -> PlanExecutor | None:
    """Return none where the plan splits what cannot be split; any other fault is the test's."""
    try:
        return PlanExecutor(model.SerializeToString(), plan, PROCESSORS)
    except PlanError as error:
        if "cannot be split" in str(error):
            return None
        raise


def assert_same(execution: Execution, expected: dict[str, np.ndarray]) -> None:
    assert execution.outputs.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(float(np.abs(value).max()), 1e-6)
        assert execution.outputs[name].shape == value.shape
        assert float(np.abs(execution.outputs[name] - value).max()) / scale <= TOLERANCE, name


class Network:
    """A random network of convolutions, pools, additions and joins in which every tensor is an output."""

    def __init__(self, rng: random.Random, operators: int) -> None:
        self.rng = rng
        self.numbers = np.random.default_rng(rng.getrandbits(32))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"x": (1, 4, rng.randint(9, 20), rng.randint(9, 14))}
        while len(self.nodes) < operators:
            rng.choice([self.convolution, self.convolution, self.pool, self.pointwise, self.add, self.join])()
        self.head()

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        value = self.numbers.standard_normal(shape).astype(np.float32) * 0.5
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def put(self, op_type: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, inputs, [name], name=f"{op_type}_{len(self.nodes)}", **attributes)
        )
        self.shapes[name] = shape
        return name

    def pick(self) -> str:
        return self.rng.choice([name for name, shape in self.shapes.items() if len(shape) == 4][-4:])

    def convolution(self) -> None:
        tensor = self.pick()
        _, channels, rows, columns = self.shapes[tensor]
        reach, stride = self.rng.choice([1, 2, 3, 5]), self.rng.randint(1, 2)
        dilation = self.rng.randint(1, 2)
        pads = [self.rng.randint(0, min(2, reach - 1)) for _ in range(4)]
        missing = (reach - 1) * dilation
        out = [
            (rows + pads[0] + pads[2] - missing - 1) // stride + 1,
            (columns + pads[1] + pads[3] - missing - 1) // stride + 1,
        ]
        if min(out) < 1:
            return
        group = self.rng.choice([1, 1, 2, channels]) if channels % 2 == 0 else 1
        kept = channels * self.rng.randint(1, 2) if group > 1 else self.rng.randint(2, 8)
        inputs = [tensor, self.weight(kept, channels // group, reach, reach), self.weight(kept)]
        attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": pads, "group": group}
        self.put("Conv", inputs[: self.rng.randint(2, 3)], (1, kept, *out), **attributes)

    def pool(self) -> None:
        tensor = self.pick()
        _, channels, rows, columns = self.shapes[tensor]
        pads = [self.rng.randint(0, 1) for _ in range(4)]
        out = [(rows + pads[0] + pads[2] - 3) // 2 + 1, (columns + pads[1] + pads[3] - 3) // 2 + 1]
        if min(out) < 1 or rows < 3 or columns < 3:
            return
        kind = self.rng.choice(["MaxPool", "AveragePool"])
        self.put(kind, [tensor], (1, channels, *out), kernel_shape=[3, 3], strides=[2, 2], pads=pads)

    def pointwise(self) -> None:
        tensor = self.pick()
        shape = self.shapes[tensor]
        kind = self.rng.choice(["Relu", "Sigmoid", "Mul", "LRN", "BatchNormalization"])
        if kind == "Mul":
            self.put(kind, [tensor, self.weight(shape[1], 1, 1)], shape)
        elif kind == "LRN":
            self.put(kind, [tensor], shape, size=3)
        elif kind == "BatchNormalization":
            parameters = [self.weight(shape[1]) for _ in range(4)]
            value = np.abs(numpy_helper.to_array(self.weights[-1])) + 0.5
            self.weights[-1].CopyFrom(numpy_helper.from_array(value, parameters[-1]))
            self.put(kind, [tensor, *parameters], shape)
        else:
            self.put(kind, [tensor], shape)

    def add(self) -> None:
        tensor = self.pick()
        alike = [name for name, shape in self.shapes.items() if shape == self.shapes[tensor]]
        self.put("Add", [tensor, self.rng.choice(alike)], self.shapes[tensor])

    def join(self) -> None:
        tensor = self.pick()
        shape = self.shapes[tensor]
        alike = [n for n, s in self.shapes.items() if len(s) == 4 and s[2:] == shape[2:]]
        other = self.rng.choice(alike)
        self.put("Concat", [tensor, other], (1, shape[1] + self.shapes[other][1], *shape[2:]), axis=1)

    def head(self) -> None:
        tensor = self.pick()
        channels = self.shapes[tensor][1]
        pooled = self.put("GlobalAveragePool", [tensor], (1, channels, 1, 1))
        flat = self.put("Flatten", [pooled], (1, channels))
        self.put("Gemm", [flat, self.weight(11, channels), self.weight(11)], (1, 11), transB=1)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shapes["x"])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in self.shapes.items()
                if name != "x"
            ],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    def plan(self, *, split: bool) -> dict[str, Any]:
        """Cut the nodes into runs of one to three, some of them in parts on both processors."""
        stages: list[dict[str, Any]] = []
        left = [node.name for node in self.nodes]
        while left:
            length = self.rng.randint(1, 3)
            names, left = left[:length], left[length:]
            if split and self.rng.random() < 0.7:
                dimension = self.rng.choice(["height", "out_channels"])
                edges = [
                    0.0,
                    *sorted(self.rng.sample([0.1, 0.3, 0.5, 0.6, 0.9], self.rng.randint(1, 2))),
                    1.0,
                ]
                for place, (low, high) in enumerate(itertools.pairwise(edges)):
                    processor = "ab"[place % 2]
                    stages.append(stage(len(stages), names, processor, (dimension, low, high)))
            else:
                stages.append(stage(len(stages), names, self.rng.choice("ab")))
        return {"stages": stages}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), operators=st.integers(3, 12), split=st.booleans())
def test_every_tensor_of_generated_graphs_is_the_same(seed: int, operators: int, split: bool) -> None:
    network = Network(random.Random(seed), operators)
    model, plan = network.model(), network.plan(split=split)
    x = np.random.default_rng(seed).standard_normal(network.shapes["x"]).astype(np.float32)
    executor = build(model, plan)
    if executor is None:
        assert split
        return
    with executor:
        expected = reference(model, {"x": x})
        for _ in range(2):
            assert_same(executor.run({"x": x}), expected)


def as_answered(plan: Plan) -> dict[str, Any]:
    """A plan in the form in which `POST /v1/plan` answers it, as far as an executor reads it."""
    stages = [
        stage(
            item.id,
            item.operators,
            item.processor,
            item.split and (item.split.dimension.value, item.split.low, item.split.high),
        )
        | {"start_us": item.start_us}
        for item in plan.stages
    ]
    return {"stages": stages, "requires_retraining": plan.requires_retraining}


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "shufflenet"])
def test_every_strategys_plan_gives_the_models_own_results(name: str) -> None:
    path = next(file.path for file in find_models("light") if file.identity.name == name)
    model = with_random_weights(onnx.load(path), seed=5)
    data = model.SerializeToString()
    processors = [Processor(name, "cpu", frozenset({name})) for name in PROCESSORS]
    request = PlanningRequest([ModelRequest(fusion.kernels(read(data)))], processors, HashedCosts())
    constants = {tensor.name for tensor in model.graph.initializer}
    (input_name,) = {value.name for value in model.graph.input} - constants
    inputs = {input_name: np.random.default_rng(1).random((1, 3, 224, 224), dtype=np.float32)}
    expected = reference(model, inputs)
    executed = set()
    for plan in plan_for(request).plans:
        if plan.requires_retraining:
            continue
        with PlanExecutor(data, as_answered(plan), PROCESSORS) as executor:
            execution = executor.run(inputs)
        assert_same(execution, expected)
        executed.add(plan.strategy)
        assert {timing.id for timing in execution.stages} <= {item.id for item in plan.stages}
        for timing in execution.stages:
            assert 0 <= timing.start_us <= timing.end_us <= execution.latency_us
        for processor in PROCESSORS:
            own = [timing for timing in execution.stages if timing.processor == processor]
            assert all(one.end_us <= other.start_us for one, other in itertools.pairwise(own))
    assert {"mace", "chain", "codl", "mulayer", "branches", "joint"} <= executed


SMALL = networks.convolution_network().SerializeToString()
SHAPES = {"x": (1, 3, 32, 32)}
X = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
WHOLE = ["c1", "n1", "r1", "c2", "r2", "p", "f", "y"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"stages": [stage(0, ["nonsense"], "a")]}, "for another model"),
        ({"stages": [stage(0, WHOLE, "gpu")]}, "no processor gpu"),
        ({"stages": [stage(0, WHOLE[:4], "a")], "requires_retraining": True}, "requires retraining"),
        ({"stages": [stage(0, WHOLE, "a", ("height", 0.0, 1.0))]}, "cannot be split"),
        ({"stages": [stage(0, WHOLE[:3], "a", ("height", 0.0, 0.5)), stage(1, WHOLE[3:], "b")]}, "add up"),
        ({"stages": [stage(0, WHOLE[3:], "a"), stage(1, WHOLE[:3], "b")]}, "starts after it"),
        ({"stages": [{"id": 0}]}, "no plan as the service answers it"),
        ({"stages": [stage(0, WHOLE, "a") | {"model": 1}]}, "models, of which 1"),
    ],
)
def test_a_plan_that_does_not_fit_is_a_clear_error(plan: dict[str, Any], message: str) -> None:
    threads = threading.active_count()
    with pytest.raises(PlanError, match=message):
        PlanExecutor(SMALL, plan, PROCESSORS, SHAPES)
    assert threading.active_count() == threads


def test_inputs_have_to_fit() -> None:
    plan = {"stages": [stage(0, WHOLE, "a")]}
    with PlanExecutor(SMALL, plan, PROCESSORS, SHAPES) as executor:
        with pytest.raises(PlanError, match=r"'x' has to be given with shape \(1, 3, 32, 32\)"):
            executor.run({"x": X[:, :, :5]})
        assert_same(executor.run({"x": X}), reference(networks.convolution_network(), {"x": X}))


def test_handovers_between_processors_are_timed() -> None:
    halves = [
        stage(place, WHOLE[:3], "ab"[place], ("out_channels", place / 2, (place + 1) / 2)) for place in (0, 1)
    ]
    plan = {"stages": [*halves, stage(2, WHOLE[3:], "a")]}
    hand_overs = []
    with PlanExecutor(SMALL, plan, PROCESSORS, SHAPES) as executor:
        for _ in range(200):
            hand_overs += executor.run({"x": X}).hand_overs
    if len(CORES) > 1:
        assert hand_overs
    for hand_over in hand_overs:
        assert (hand_over.source, hand_over.target) == ("b", "a")
        assert hand_over.size_bytes == 8 * 32 * 32 * 4
        assert hand_over.latency_us > 0


def test_a_core_that_is_not_there_is_an_error_and_hangs_nobody() -> None:
    plan = {"stages": [stage(0, WHOLE[:3], "a"), stage(1, WHOLE[3:], "b")]}
    with PlanExecutor(SMALL, plan, {"a": CORES[0], "b": 4095}, SHAPES) as executor:
        for _ in range(2):
            with pytest.raises(PlanError, match="core 4095 cannot be used"):
                executor.run({"x": X})


def test_a_tensor_without_a_known_shape_cannot_be_handed_over() -> None:
    model = networks.loop_network()
    names = [node.output[0] for node in model.graph.node]
    plan = {"stages": [stage(place, [name], "ab"[place % 2]) for place, name in enumerate(names)]}
    with pytest.raises(PlanError, match="'after' is not known before the model runs"):
        PlanExecutor(model.SerializeToString(), plan, PROCESSORS)
