"""What planning knows of models before any cost: the same for every request, so it is kept between them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.planning.blocks import Block, blocks_of
from app.planning.splitting import FRACTIONS, Dimension, halo, is_splittable, mixes_channels, sliced
from predictors.cost import input_bytes, output_bytes, weight_bytes
from predictors.fusion import KernelGraph
from predictors.graph import Operator
from predictors.topology import topological_order

MOST_KEPT_KERNELS = 20_000
"""Structures are kept until they hold so many kernels together; the least recently used goes first."""

PREDICTED = (0, 2, 4, 6, 8)
"""Places in `FRACTIONS` for which parts of kernels are predicted."""


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


Models = Sequence[tuple[KernelGraph, tuple[int, ...]]]
"""Of each model its kernels and the indexes of the models that must finish before it."""


class Structure:
    """Kernels of all models numbered through, in topological order, and what follows from them alone.

    `operators` are the distinct ones, `row[i]` the place of kernel `i`'s among them.
    """

    def __init__(self, models: Models) -> None:
        self.kernels, self.tensors = _flatten(models)
        self.operators = list(
            {kernel.operator.canonical: kernel.operator for kernel in self.kernels}.values()
        )
        place = {operator.canonical: row for row, operator in enumerate(self.operators)}
        self.row_of = [place[kernel.operator.canonical] for kernel in self.kernels]
        self.row: NDArray[np.intp] = np.array(self.row_of, dtype=np.intp)
        self.halo = [halo(kernel.operator) for kernel in self.kernels]
        self.mixes = [mixes_channels(kernel.operator) for kernel in self.kernels]
        self._parts: dict[tuple[int, Dimension], list[Operator]] = {}

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """For each kernel the indexes of those that wait for it."""
        followers: list[list[int]] = [[] for _ in self.kernels]
        for kernel in self.kernels:
            for earlier in kernel.before:
                followers[earlier].append(kernel.index)
        return tuple(tuple(indexes) for indexes in followers)

    @cached_property
    def blocks(self) -> list[Block]:
        """The kernels cut at every narrow place."""
        return blocks_of([kernel.before for kernel in self.kernels], self.after)

    @cached_property
    def splittable(self) -> list[tuple[int, Dimension]]:
        """Places of distinct operators with the dimensions along which they can be cut."""
        return [
            (row, dimension)
            for dimension in Dimension
            for row, operator in enumerate(self.operators)
            if is_splittable(operator, dimension)
        ]

    def parts(self, row: int, dimension: Dimension) -> list[Operator]:
        """Return the parts of a distinct operator that are predicted, one for each of `PREDICTED`."""
        found = self._parts.get((row, dimension))
        if found is None:
            operator = self.operators[row]
            found = [sliced(operator, dimension, FRACTIONS[place]) for place in PREDICTED]
            self._parts[row, dimension] = found
        return found

    @cached_property
    def read_bytes(self) -> NDArray[np.float64]:
        """Bytes that each kernel reads of what other kernels wrote, shape (K,)."""
        return np.array(
            [
                sum(self.tensors[tensor].size_bytes for tensor in kernel.reads if self.written(tensor))
                for kernel in self.kernels
            ],
            dtype=np.float64,
        )

    @cached_property
    def moved_bytes(self) -> NDArray[np.float64]:
        """Bytes that each kernel moves through memory, weights included, shape (K,)."""
        moved = [input_bytes(item) + weight_bytes(item) + output_bytes(item) for item in self.operators]
        return np.array(moved, dtype=np.float64)[self.row]

    def written(self, tensor: int) -> bool:
        """Tell whether a kernel wrote a tensor; else it is a model's input."""
        return self.tensors[tensor].writer >= 0


class StructureCache:
    """Structures by the content of their models; bounded by the kernels that they hold."""

    def __init__(self, most_kernels: int = MOST_KEPT_KERNELS) -> None:
        self._most_kernels = most_kernels
        self._kept: OrderedDict[tuple[tuple[str, tuple[int, ...]], ...], Structure] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, models: Models) -> Structure:
        """Return the structure of some models; raise `ValueError` where they wait in a circle."""
        key = tuple((graph.digest, after) for graph, after in models)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        structure = Structure(models)
        with self._lock:
            self._kept[key] = structure
            while len(self._kept) > 1 and self.kernels > self._most_kernels:
                self._kept.popitem(last=False)
        return structure

    @property
    def kernels(self) -> int:
        """Kernels in all structures that are kept."""
        return sum(len(structure.kernels) for structure in self._kept.values())


STRUCTURES = StructureCache()


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


def _flatten(models: Models) -> tuple[tuple[Kernel, ...], tuple[Data, ...]]:
    """Return kernels and tensors of all models numbered through, earlier models (by `after`) first."""
    kernels: list[Kernel] = []
    tensors = _Tensors()
    members: dict[int, list[int]] = {}
    for model in _model_order([after for _, after in models]):
        graph, after = models[model]
        ends = [index for other in after for index in _sinks(kernels, members[other])]
        members[model] = _append(kernels, tensors, model, graph, ends)
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


def _model_order(after: Sequence[tuple[int, ...]]) -> list[int]:
    order = topological_order([set(earlier) for earlier in after])
    if order is None:
        raise ValueError("the models wait for each other in a circle (`after`)")
    return order
