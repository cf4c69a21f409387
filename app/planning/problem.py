"""A planning problem: the kernels of all requested models as one graph, the processors, and their costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.planning.costs import CostSource, CostTable
from app.planning.plan import Draft
from predictors.fusion import KernelGraph
from predictors.graph import Operator
from predictors.topology import topological_order

if TYPE_CHECKING:
    from app.planning.timeline import Timeline


@dataclass(frozen=True)
class Processor:
    """One schedulable unit; processors that share a resource never run at the same time.

    `unsupported` holds operator types that it cannot run.
    """

    name: str
    kind: str
    resources: frozenset[str]
    unsupported: frozenset[str] = frozenset()

    def supports(self, operator: Operator) -> bool:
        """Tell whether this processor runs an operator, its fused activation included."""
        types = {operator.op_type, operator.op_type.removeprefix("Fused")}
        activation = operator.attributes.get("activation")
        if isinstance(activation, str):
            types.add(activation)
        return types.isdisjoint(self.unsupported)


@dataclass(frozen=True)
class ModelRequest:
    """One model to run: its kernels and, where it is a task, when it may start and must have ended.

    `after` holds the indexes of requested models that must finish first. All times in microseconds.
    """

    kernels: KernelGraph
    deadline_us: float | None = None
    period_us: float | None = None
    release_us: float = 0.0
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """A kernel of a problem: what it runs, which tensors it reads and writes, whom it waits for."""

    index: int
    model: int
    name: str
    operator: Operator
    covers: tuple[str, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    before: tuple[int, ...]


@dataclass(frozen=True)
class Data:
    """A computed tensor or a model's input (written by -1): its size and who reads it."""

    size_bytes: float
    writer: int
    readers: tuple[int, ...]


class Problem:
    """Models, processors and costs; kernels of all models are numbered through, in topological order.

    `proposed` remembers what each strategy proposed, for those that build on others, and `timelines` what
    was simulated, by the draft's identity.
    """

    def __init__(
        self,
        models: Sequence[ModelRequest],
        processors: Sequence[Processor],
        source: CostSource,
    ) -> None:
        self.models = tuple(models)
        self.processors = tuple(processors)
        self.kernels, self.tensors = _flatten(self.models)
        self.proposed: dict[str, Sequence[Draft]] = {}
        self.timelines: dict[int, Timeline] = {}
        self.costs = CostTable(source, [kernel.operator for kernel in self.kernels], self.processors)

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """For each kernel the indexes of those that wait for it."""
        followers: list[list[int]] = [[] for _ in self.kernels]
        for kernel in self.kernels:
            for earlier in kernel.before:
                followers[earlier].append(kernel.index)
        return tuple(tuple(indexes) for indexes in followers)

    @cached_property
    def shares(self) -> NDArray[np.bool_]:
        """Whether two processors share a resource (a processor does with itself), shape (P, P)."""
        return np.array(
            [[bool(one.resources & other.resources) for other in self.processors] for one in self.processors]
        )

    @cached_property
    def fallback_processor(self) -> int | None:
        """The CPU that takes what others cannot run: it supports most kernels, then is the fastest."""
        latency = self.costs.full
        candidates = [place for place, processor in enumerate(self.processors) if processor.kind == "cpu"]
        if not candidates:
            return None

        def rank(place: int) -> tuple[int, float, int]:
            column = latency[:, place]
            known = np.isfinite(column)
            return int((~known).sum()), float(column[known].sum()), place

        return min(candidates, key=rank)

    def unsupported_everywhere(self) -> list[str]:
        """Names of kernels that no processor runs."""
        missing = ~np.isfinite(self.costs.full).any(axis=1)
        return [self.kernels[index].name for index in np.flatnonzero(missing)]


class _Tensors:
    """The tensors of a problem while they are numbered."""

    def __init__(self) -> None:
        self.sizes: list[float] = []
        self.writers: list[int] = []
        self.readers: list[list[int]] = []

    def new(self, size_bytes: int, writer: int) -> int:
        self.sizes.append(float(size_bytes))
        self.writers.append(writer)
        self.readers.append([])
        return len(self.sizes) - 1

    def frozen(self) -> tuple[Data, ...]:
        rows = zip(self.sizes, self.writers, self.readers, strict=True)
        return tuple(Data(size, writer, tuple(readers)) for size, writer, readers in rows)


def _flatten(models: tuple[ModelRequest, ...]) -> tuple[tuple[Kernel, ...], tuple[Data, ...]]:
    """Return kernels and tensors of all models numbered through, earlier models (by `after`) first."""
    kernels: list[Kernel] = []
    tensors = _Tensors()
    members: dict[int, list[int]] = {}
    for model in _model_order(models):
        ends = [index for other in models[model].after for index in _sinks(kernels, members[other])]
        members[model] = _append(kernels, tensors, model, models[model].kernels, ends)
    return tuple(kernels), tensors.frozen()


def _append(
    kernels: list[Kernel], tensors: _Tensors, model: int, kernel_graph: KernelGraph, ends: list[int]
) -> list[int]:
    """Append one model's kernels, which wait for `ends`; return their indexes."""
    graph = kernel_graph.graph
    base = len(kernels)
    place = {
        name: tensors.new(graph.tensors[name].size_bytes, -1)
        for name in graph.inputs
        if name in graph.tensors
    }
    for offset, node in enumerate(graph.nodes):
        index = base + offset
        reads = tuple(dict.fromkeys(place[name] for name in node.inputs if name in place))
        for item in reads:
            tensors.readers[item].append(index)
        before = {base + earlier for earlier in graph.predecessors[offset]} or set(ends)
        writes = tuple(tensors.new(graph.tensors[name].size_bytes, index) for name in node.outputs)
        place.update(zip(node.outputs, writes, strict=True))
        covers = kernel_graph.covers[offset]
        kernels.append(
            Kernel(index, model, node.name, node.operator, covers, reads, writes, tuple(sorted(before)))
        )
    return list(range(base, len(kernels)))


def _sinks(kernels: list[Kernel], members: list[int]) -> list[int]:
    """Return the kernels of one model that nothing in it waits for."""
    waited = {earlier for index in members for earlier in kernels[index].before}
    return [index for index in members if index not in waited]


def _model_order(models: tuple[ModelRequest, ...]) -> list[int]:
    order = topological_order([set(model.after) for model in models])
    if order is None:
        raise ValueError("the models wait for each other in a circle (`after`)")
    return order
