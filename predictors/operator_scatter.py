"""How single operators scatter around their predicted means: medians and intervals for each of them.

Misses log(measured / predicted mean) are gathered in cells, by how long an operator is and by how much its
run is stretched: under preemption most operators run undisturbed and a few pay for all, the longer the more
likely, so that medians fall below the mean and tails grow with the stretch. Types of operators differ little
once both are known. Thin cells lean on all misses together.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predictors.conformal import ENDS, LEVELS, doubted, widened

Floats = NDArray[np.float64]
Cells = NDArray[np.uint8]

LENGTHS_US = (5.0, 20.0, 100.0, 500.0)
"""Edges between the classes of predicted lengths."""

STRETCHES_LOG = (0.05, 0.15, 0.4, 0.8)
"""Edges between the classes of log(predicted / calm) of the run."""

LEAST_US = 1.0
"""Clocks count whole microseconds: what is measured below means no more than that."""

_LENGTHS = np.array(LENGTHS_US)
_CELLS = (len(LENGTHS_US) + 1) * (len(STRETCHES_LOG) + 1)
_LEAN_MISSES = 50
_LEAST_MISSES = 20
_MOST_LOG = 12.0
_MEDIAN = LEVELS.index(0.5)


def cells_of(operators_us: Floats, stretch_log: float) -> Cells:
    """Return the cell of each operator by its predicted mean and its run's stretch, shape (n,)."""
    row = bisect_right(STRETCHES_LOG, stretch_log)
    lengths = np.searchsorted(_LENGTHS, operators_us, side="right")
    return (lengths * (len(STRETCHES_LOG) + 1) + row).astype(np.uint8)


def misses_of(latency_us: Floats, operators_us: Floats) -> Floats:
    """Return log(measured / predicted mean) of each operator, shape (n,)."""
    return np.asarray(np.log(np.maximum(latency_us, LEAST_US) / operators_us))


@dataclass(frozen=True, eq=False)
class OperatorScatter:
    """Quantiles (at `LEVELS`) of operators' misses by cell, shape (25, 9)."""

    table: Floats

    @classmethod
    def fit(cls, cells: Cells, misses: Floats, *, centred: bool = False) -> "OperatorScatter":
        """Fit on n misses and their cells; `centred` keeps the median at the prediction itself."""
        if len(misses) < _LEAST_MISSES:
            return DEFAULT_SCATTER
        overall = np.asarray(np.quantile(misses, LEVELS), dtype=np.float64)
        order = np.argsort(cells, kind="stable")
        ends = np.cumsum(np.bincount(cells, minlength=_CELLS))
        table = np.empty((_CELLS, len(LEVELS)))
        for cell, own in enumerate(np.split(misses[order], ends[:-1])):
            share = len(own) ** 2 / (len(own) ** 2 + _LEAN_MISSES**2) if len(own) >= _LEAST_MISSES else 0.0
            table[cell] = overall if not share else share * np.quantile(own, LEVELS) + (1 - share) * overall
        if centred:
            table[:, :_MEDIAN] = np.minimum(table[:, :_MEDIAN], 0.0)
            table[:, _MEDIAN] = 0.0
            table[:, _MEDIAN + 1 :] = np.maximum(table[:, _MEDIAN + 1 :], 0.0)
        return cls(np.asarray(np.round(np.clip(table, -_MOST_LOG, _MOST_LOG), 4), dtype=np.float64))

    def quantiles_us(
        self,
        operators_us: Floats,
        stretch_log: float,
        widths_log: Sequence[float],
        doubt_log: float = 0.0,
    ) -> Floats:
        """Return the quantiles of each operator at `LEVELS`, shape (n, 9), never falling along a row.

        `doubt_log` is how far off (standard deviation, log) all of them together may be.
        """
        table = doubted(widened(self.table, widths_log), doubt_log)
        logs = table[cells_of(operators_us, stretch_log)]
        return np.asarray(operators_us[:, None] * np.exp(logs))

    def inside(
        self,
        latency_us: Floats,
        operators_us: Floats,
        stretch_log: float,
        widths_log: Sequence[float],
        doubt_log: float = 0.0,
    ) -> list[float]:
        """Return the share of operators that each interval held."""
        table = doubted(widened(self.table, widths_log), doubt_log)
        logs = table[cells_of(operators_us, stretch_log)]
        misses = misses_of(latency_us, operators_us)
        return [float(((logs[:, low] <= misses) & (misses <= logs[:, high])).mean()) for low, high in ENDS]

    def to_json(self) -> list[list[float]]:
        """Return the table as plain data."""
        rows: list[list[float]] = self.table.tolist()
        return rows

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[float]]) -> "OperatorScatter":
        """Rebuild a scatter from plain data."""
        return cls(np.array(rows, dtype=np.float64))


DEFAULT_SCATTER = OperatorScatter(
    np.tile(np.array([-2.0, -1.2, -0.3, 0.0, 0.3, 0.9, 1.2, 2.0, 2.5]), (_CELLS, 1))
)
"""Before anything was measured."""


class OperatorMisses:
    """The newest misses of one key's operators, bounded in number, run by run."""

    def __init__(self, most: int = 120_000) -> None:
        self._most = most
        self._runs: deque[tuple[Cells, Floats]] = deque()
        self._count = 0

    def add(self, latency_us: Floats, operators_us: Floats, stretch_log: float) -> None:
        """Take a run's operators in, measured and as they were predicted before."""
        self._runs.append((cells_of(operators_us, stretch_log), misses_of(latency_us, operators_us)))
        self._count += len(latency_us)
        while self._count > self._most:
            self._count -= len(self._runs.popleft()[0])

    def scatter(self, *, centred: bool = False) -> OperatorScatter:
        """Return the scatter of all that is remembered; the default where that is too little."""
        if not self._runs:
            return DEFAULT_SCATTER
        cells, misses = (np.concatenate(part) for part in zip(*self._runs, strict=True))
        return OperatorScatter.fit(cells, misses, centred=centred)
