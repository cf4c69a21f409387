"""Planning problems for tests: generated graphs, processors and costs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.planning.costs import DEFAULT_SPREAD, Contention, Spread, Transfer
from app.planning.problem import ModelRequest, Problem, Processor
from predictors.forecast import Rung
from predictors.fusion import KernelGraph
from predictors.graph import ModelGraph, Node, Operator, Shape, Tensor

CPU = Processor("cpu:0", "cpu", frozenset({"cpu:0"}))
GPU = Processor("gpu", "gpu", frozenset({"gpu"}))
NPU = Processor("npu", "npu", frozenset({"npu"}))
_TRANSFER = Transfer(30.0, 1e-4)
_NOT_SLOWED = Contention()


@dataclass
class HashedCosts:
    """Costs that look random but depend only on what is asked; every call is counted."""

    seed: int = 0
    transfer_cost: Transfer = _TRANSFER
    dispatch: float = 5.0
    scatter: Spread = DEFAULT_SPREAD
    zero: bool = False
    beside: Contention = _NOT_SLOWED
    rows: int = 0
    calls: list[str] = field(default_factory=list)

    def latencies_us(self, processor: str, operators: Sequence[Operator], rung: Rung) -> NDArray[np.float64]:
        self.calls.append(processor)
        self.rows += len(operators)
        return np.array([self._latency(processor, operator, rung) for operator in operators])

    def _latency(self, processor: str, operator: Operator, rung: Rung) -> float:
        if self.zero:
            return 0.0
        base = f"{self.seed} {processor} {operator.op_type} {operator.attributes.get('tag')} {rung}"
        unit = int(hashlib.sha256(base.encode()).hexdigest()[:8], 16) / 2**32
        elements = sum(int(np.prod(shape)) for shape in operator.outputs)
        return 3.0 + (0.02 + 0.1 * unit) * elements

    def spread(self, processor: str) -> Spread:
        return self.scatter

    def transfer(self, source: str, target: str) -> Transfer:
        return self.transfer_cost

    def contention(self, processor: str, beside: str) -> Contention:
        return self.beside

    def dtypes(self, processor: str) -> tuple[str, ...]:
        return ("float32",)

    def dispatch_us(self, processor: str) -> float:
        return self.dispatch


def graph_of(
    edges: Sequence[Sequence[int]],
    types: Sequence[str],
    shape: Shape = (1, 16, 12, 12),
    name: str = "g",
    *,
    tagged: bool = True,
) -> KernelGraph:
    """A kernel graph whose kernel `i` reads the results of `edges[i]`, or the model's input where empty.

    `tagged` makes every kernel an operator of its own.
    """
    tensors = {"x": Tensor("x", shape, "float32")}
    nodes = []
    read: set[int] = set()
    for index, (before, op_type) in enumerate(zip(edges, types, strict=True)):
        read.update(before)
        tensors[f"t{index}"] = Tensor(f"t{index}", shape, "float32")
        inputs = tuple(f"t{earlier}" for earlier in before) or ("x",)
        shapes: tuple[Shape, ...] = tuple(shape for _ in inputs)
        attributes: dict[str, object] = {"tag": index} if tagged else {}
        if op_type == "Conv":
            shapes = (shape, (shape[1], shape[1], 3, 3))
            attributes |= {"kernel_shape": [3, 3], "strides": [1, 1], "group": 1}
        operator = Operator(op_type, shapes, (shape,), "float32", attributes)  # type: ignore[arg-type]
        nodes.append(Node(f"k{index}", operator, inputs, (f"t{index}",)))
    outputs = tuple(f"t{index}" for index in range(len(nodes)) if index not in read)
    graph = ModelGraph(name, f"sha256:{name}", tuple(nodes), ("x",), outputs, tensors)
    return KernelGraph(graph, tuple((f"op{index}",) for index in range(len(nodes))), (), "test", "test")


@st.composite
def kernel_graphs(draw: st.DrawFn, max_kernels: int = 8) -> KernelGraph:
    """Random DAGs of a few kernels, with forks, joins and several sinks."""
    count = draw(st.integers(1, max_kernels))
    edges = [
        sorted(draw(st.sets(st.integers(max(0, index - 4), index - 1), max_size=3))) if index else []
        for index in range(count)
    ]
    types = [draw(st.sampled_from(["Conv", "Relu", "Add", "Odd"])) for _ in range(count)]
    return graph_of(edges, types)


@st.composite
def processor_sets(draw: st.DrawFn) -> list[Processor]:
    """One to three processors; two CPU processors share their cores; accelerators lack operators."""
    unsupported = frozenset(draw(st.sets(st.sampled_from(["Odd", "Add"]), max_size=2)))
    gpu = Processor("gpu", "gpu", frozenset({"gpu"}), unsupported)
    big = Processor("cpu-big-2", "cpu", frozenset({"cpu-big"}))
    more = Processor("cpu-big-4", "cpu", frozenset({"cpu-big"}))
    return draw(st.sampled_from([[CPU], [CPU, gpu], [CPU, gpu, NPU], [big, more, gpu]]))


@st.composite
def problems(draw: st.DrawFn, max_kernels: int = 8) -> Problem:
    """Random planning problems of one model."""
    costs = HashedCosts(
        seed=draw(st.integers(0, 1000)),
        transfer_cost=Transfer(draw(st.sampled_from([0.0, 5.0, 60.0])), draw(st.sampled_from([0.0, 1e-3]))),
        dispatch=draw(st.sampled_from([0.0, 4.0, 30.0])),
    )
    return Problem([ModelRequest(draw(kernel_graphs(max_kernels)))], draw(processor_sets()), costs)
