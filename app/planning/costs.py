"""What stages cost: dense tables per (kernel, processor), and the costs of copies, dispatch and spread."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.planning.splitting import FRACTIONS, Dimension
from app.planning.structure import PREDICTED, Structure
from predictors.forecast import Rung
from predictors.graph import Operator

if TYPE_CHECKING:
    from app.planning.problem import Processor

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Cost of making a tensor that one processor wrote readable to another: a start and a rate."""

    latency_us: float
    us_per_byte: float

    def cost_us(self, size_bytes: float) -> float:
        """Return the cost of one copy; nothing is paid for nothing."""
        return self.latency_us + self.us_per_byte * size_bytes if size_bytes > 0 else 0.0


class Contention(NamedTuple):
    """How one processor slows another while both work; none where both coefficients are 0.

    `beside` is the relative slowdown by whatever runs there, `per_demand` that by each (byte a microsecond)²
    of what both of them move.
    """

    beside: float = 0.0
    per_demand: float = 0.0

    def __bool__(self) -> bool:
        return self.beside > 0 or self.per_demand > 0


@dataclass(frozen=True, slots=True)
class Spread:
    """How latencies scatter around their means, as standard deviations of relative error.

    `shared` is common to everything that a processor runs in one run (its slowdown), `noise` is each
    kernel's own.
    """

    shared: float
    noise: float


_BETWEEN = np.array(
    [
        np.interp(range(len(FRACTIONS)), [*PREDICTED, len(FRACTIONS) - 1], point)
        for point in np.eye(len(PREDICTED) + 1)
    ]
)
"""Weights of the predicted fractions, and of the whole, in all fractions."""

_GATHERED_BYTES = (1 << 16, 1 << 22)
"""Sizes at which gathering is predicted; it is a line between and beyond."""

_FRIENDLY = {"cpu": ("int8", "uint8"), "": ("float16",)}

DEFAULT_SPREAD = Spread(shared=0.1, noise=0.1)


def default_transfer(source_kind: str, target_kind: str) -> Transfer:
    """Return the cost of a copy before any was measured.

    Two CPU clusters share caches and page tables: 20 µs to wake the other side and 10 GB/s. Any other pair
    maps and synchronises buffers: about 1 ms a hand-over on the phones of CoDL (MobiSys '22)
    and 2 GB/s for the change of layout.
    """
    if source_kind == target_kind == "cpu":
        return Transfer(20.0, 1e-4)
    return Transfer(1000.0, 5e-4)


def default_dispatch_us(kind: str) -> float:
    """Return the cost of starting a stage before any was measured: a pinned thread, or a driver's queue."""
    return 15.0 if kind == "cpu" else 50.0


class CostSource(Protocol):
    """Where costs come from; the service implements it with predictors and what devices reported."""

    def latencies_us(self, processor: str, operators: Sequence[Operator], rung: Rung) -> Floats:
        """Return the conditional mean latency of each operator, shape (n,), in one batched prediction."""
        ...

    def spread(self, processor: str) -> Spread:
        """Return how latencies of this processor scatter in the present context."""
        ...

    def transfer(self, source: str, target: str) -> Transfer:
        """Return the cost of a copy between two different processors."""
        ...

    def dispatch_us(self, processor: str) -> float:
        """Return the cost of starting one stage."""
        ...

    def contention(self, processor: str, beside: str) -> Contention:
        """Return how work on `beside` slows `processor`; not at all until learned."""
        ...

    def dtypes(self, processor: str) -> Collection[str]:
        """Return the data types in which this processor was ever timed."""
        ...


class CostTable:
    """Costs of one problem; every distinct (operator, split, processor) is asked for once.

    Latencies are in microseconds, infinite where a processor does not support a kernel. Split tables are
    only made when a strategy asks for them.
    """

    def __init__(self, source: CostSource, structure: Structure, processors: "Sequence[Processor]") -> None:
        self.source = source
        self._processors = processors
        self._structure = structure
        self._distinct = structure.operators
        self._row, self._row_of = structure.row, structure.row_of
        self._supported = np.array(
            [[processor.supports(operator) for processor in processors] for operator in self._distinct]
        ).reshape(len(self._distinct), len(processors))
        self._offline_parts: dict[tuple[int, Dimension], list[list[float]]] = {}
        names = [processor.name for processor in processors]
        self.dispatch_us = [source.dispatch_us(name) for name in names]
        self.spread = [source.spread(name) for name in names]
        self.contention = [
            [Contention() if one == other else source.contention(one, other) for other in names]
            for one in names
        ]
        self.transfer = [
            [Transfer(0.0, 0.0) if one == other else source.transfer(one, other) for other in names]
            for one in names
        ]

    @cached_property
    def gather(self) -> list[Transfer]:
        """Cost of moving rows of its own into a joined tensor, by processor: a line through two `Concat`s.

        No more than copies from other processors cost, which move bytes in the same way.
        """
        small, large = _GATHERED_BYTES
        operators = [_joining(size) for size in _GATHERED_BYTES]
        lines = []
        for place, processor in enumerate(self._processors):
            low, high = self.source.latencies_us(processor.name, operators, Rung.RUNTIME).tolist()
            rate = max(high - low, 0.0) / (large - small)
            start = max(low - rate * small, 0.0)
            others = [row[place] for source, row in enumerate(self.transfer) if source != place]
            lines.append(
                Transfer(
                    min([start, *(other.latency_us for other in others)]),
                    min([rate, *(other.us_per_byte for other in others)]),
                )
            )
        return lines

    @cached_property
    def full(self) -> Floats:
        """Runtime latency of each whole kernel, shape (K, P)."""
        return self._whole(Rung.RUNTIME)

    @cached_property
    def rows(self) -> list[list[float]]:
        """Return `full` as lists, for code that looks up single latencies."""
        rows: list[list[float]] = self.full.tolist()
        return rows

    @cached_property
    def full_offline(self) -> Floats:
        """Offline latency of each whole kernel, shape (K, P)."""
        return self._whole(Rung.CALM)

    @cached_property
    def rows_offline(self) -> list[list[float]]:
        """Return `full_offline` as lists."""
        rows: list[list[float]] = self.full_offline.tolist()
        return rows

    @cached_property
    def splits(self) -> dict[Dimension, Floats]:
        """Runtime latency of parts of kernels, shape (K, P, F) over `FRACTIONS`, NaN where not splittable.

        Kernels that take no longer than starting a stage are never worth a split of their own, only within
        chains: their parts are taken to scale with their share, not predicted.
        """
        return {dimension: table[self._row] for dimension, table in self._distinct_splits.items()}

    @cached_property
    def _distinct_splits(self) -> dict[Dimension, Floats]:
        return self._parts(Rung.RUNTIME, self.full, self._structure.splittable)

    def predict_offline(self, parts: Collection[tuple[int, Dimension]]) -> None:
        """Predict offline latencies of parts of some kernels, before `part_us` asks for them."""
        wanted = sorted({(self._row_of[kernel], dimension) for kernel, dimension in parts})
        missing = [item for item in wanted if item not in self._offline_parts]
        if missing:
            tables = self._parts(Rung.CALM, self.full_offline, missing)
            for row, dimension in missing:
                self._offline_parts[row, dimension] = tables[dimension][row].tolist()

    def part_us(
        self, kernel: int, processor: int, dimension: Dimension, share: float, *, offline: bool = False
    ) -> float:
        """Return the latency of a part of a kernel, interpolated between the predicted fractions."""
        if share >= 1.0:
            return (self.rows_offline if offline else self.rows)[kernel][processor]
        place = self._row_of[kernel]
        if offline:
            row = self._offline_parts[place, dimension][processor]
        else:
            row = self._split_rows[dimension][place][processor]
        step = max(share * 10.0, 1.0) - 1.0
        left = min(int(step), len(FRACTIONS) - 2)
        return row[left] + (step - left) * (row[left + 1] - row[left])

    @cached_property
    def _split_rows(self) -> dict[Dimension, list[list[list[float]]]]:
        return {dimension: table.tolist() for dimension, table in self._distinct_splits.items()}

    @cached_property
    def friendly_scale(self) -> Floats:
        """Factor on each latency in the processor's own data type, shape (K, P); 1 where it was not timed.

        That is 8-bit integers on a CPU and half precision elsewhere (µLayer, EuroSys '19).
        """
        scale = np.ones(self._supported.shape)
        for place, processor in enumerate(self._processors):
            known = set(self.source.dtypes(processor.name))
            wanted = [name for name in _FRIENDLY["cpu" if processor.kind == "cpu" else ""] if name in known]
            rows = [
                row
                for row, operator in enumerate(self._distinct)
                if self._supported[row, place] and operator.dtype == "float32"
            ]
            if not wanted or not rows:
                continue
            base = [self._distinct[row] for row in rows]
            other = [replace(operator, dtype=wanted[0]) for operator in base]
            latency = self.source.latencies_us(processor.name, base + other, Rung.RUNTIME)
            before, after = latency[: len(rows)], latency[len(rows) :]
            scale[rows, place] = np.where(before > 0, after / np.maximum(before, 1e-9), 1.0)
        return np.asarray(scale[self._row])

    def _whole(self, rung: Rung) -> Floats:
        table = np.full(self._supported.shape, np.inf)
        for place, processor in enumerate(self._processors):
            rows = np.flatnonzero(self._supported[:, place])
            if rows.size:
                operators = [self._distinct[row] for row in rows]
                table[rows, place] = self.source.latencies_us(processor.name, operators, rung)
        return np.asarray(np.maximum(table, 0.0)[self._row])

    def _parts(
        self, rung: Rung, full: Floats, wanted: Sequence[tuple[int, Dimension]]
    ) -> dict[Dimension, Floats]:
        """Return latencies of parts of distinct operators, shape (D, P, F), by one prediction a processor.

        Every other fraction is predicted, those between are interpolated.
        """
        whole = np.full(self._supported.shape, np.inf)
        whole[self._row] = full
        tables = {dimension: np.full((*whole.shape, len(FRACTIONS)), np.nan) for dimension in Dimension}
        least = min(self.dispatch_us, default=0.0)
        cheap = whole.min(axis=1) <= least
        for row, dimension in wanted:
            if cheap[row]:
                tables[dimension][row] = whole[row][:, None] * np.asarray(FRACTIONS)
        wanted = [(row, dimension) for row, dimension in wanted if not cheap[row]]
        parts = [self._structure.parts(row, dimension) for row, dimension in wanted]
        for column, processor in enumerate(self._processors):
            keep = [item for item, (row, _) in enumerate(wanted) if self._supported[row, column]]
            if not keep:
                continue
            operators = [part for item in keep for part in parts[item]]
            latency = self.source.latencies_us(processor.name, operators, rung)
            points = np.maximum(np.asarray(latency, dtype=np.float64).reshape(len(keep), -1), 0.0)
            rows = np.array([wanted[item][0] for item in keep])
            points = np.concatenate([points, whole[rows, column][:, None]], axis=1)
            filled = points @ _BETWEEN
            for dimension in Dimension:
                mine = np.array([wanted[item][1] is dimension for item in keep])
                tables[dimension][rows[mine], column] = filled[mine]
        return tables


def _joining(size_bytes: int) -> Operator:
    """Return the operator that joins two halves of a tensor by height."""
    half = (1, 64, size_bytes // 2048, 4)
    return Operator("Concat", (half, half), ((1, 64, 2 * half[2], 4),), "float32", {"axis": 2})
