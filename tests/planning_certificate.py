"""An independent optimum by mixed-integer programming (HiGHS), to certify the searches offline.

`x[k, p]` is 1 where kernel `k` runs whole on processor `p`; kernels start when their inputs are there, a
reader pays for its copies, and two kernels on one processor run in some order (disjunctive constraints).
Each kernel is a stage of its own, so that plans are compared at a dispatch cost of 0, where stages do not
matter. One thing is relaxed: a copy made by any earlier reader on a processor counts, even if that reader
starts later; so the optimum is a lower bound for the simulator's plans.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_array

from app.planning.problem import Problem

Row = Mapping[int, float]


def optimum_us(problem: Problem, seconds: float = 60.0) -> tuple[float, float]:
    """Return the best latency found and the solver's proven lower bound, both in microseconds.

    The problem must have no dispatch cost and no shared resources.
    """
    assert not any(problem.costs.dispatch_us)
    return _Program(problem).solve(seconds)


class _Program:
    """Variables by number: placements, starts, orders of independent pairs, copies, the end."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._count = len(problem.kernels)
        self._processors = range(len(problem.processors))
        reach = _reachable(problem)
        self._pairs = [(a, b) for a, b in combinations(range(self._count), 2) if b not in reach[a]]
        names: list[tuple[object, ...]] = [("x", k, p) for k in range(self._count) for p in self._processors]
        names += [("start", k) for k in range(self._count)]
        names += [("order", *pair) for pair in self._pairs]
        names += [
            ("copy", tensor, p, k)
            for k in range(self._count)
            for tensor in self._fetched(k)
            for p in self._processors
        ]
        names.append(("end",))
        self._number = {name: place for place, name in enumerate(names)}
        self._rows: list[Row] = []
        self._low: list[float] = []
        self._high: list[float] = []

    def solve(self, seconds: float) -> tuple[float, float]:
        number = self._number
        horizon = self._horizon()
        for k in range(self._count):
            self._constrain({number["x", k, p]: 1.0 for p in self._processors}, 1.0, 1.0)
            self._constrain(
                _sum({number["end",]: 1.0, number["start", k]: -1.0}, self._duration(k, -1.0)), 0.0
            )
            for before in self._problem.kernels[k].before:
                self._constrain(self._after(before, k), 0.0)
            for tensor in self._fetched(k):
                self._copies(tensor, k)
        for a, b in self._pairs:
            order = number["order", a, b]
            for p in self._processors:
                both = {number["x", a, p]: -horizon, number["x", b, p]: -horizon}
                self._constrain(_sum(self._after(a, b), both, {order: -horizon}), -3 * horizon)
                self._constrain(_sum(self._after(b, a), both, {order: horizon}), -2 * horizon)
        matrix = lil_array((len(self._rows), len(number)))
        for line, row in enumerate(self._rows):
            for column, value in row.items():
                matrix[line, column] = value
        times = [place for name, place in number.items() if name[0] in {"start", "end"}]
        integral, upper, objective = np.ones(len(number)), np.ones(len(number)), np.zeros(len(number))
        integral[times], upper[times], objective[number["end",]] = 0, horizon, 1.0
        for k, p in np.argwhere(~np.isfinite(self._problem.costs.full)).tolist():
            upper[number["x", k, p]] = 0
        result = milp(
            objective,
            constraints=LinearConstraint(matrix.tocsr(), np.array(self._low), np.array(self._high)),
            integrality=integral,
            bounds=Bounds(np.zeros(len(number)), upper),
            options={"time_limit": seconds, "mip_rel_gap": 1e-4},
        )
        assert result.x is not None, result.message
        return float(result.fun), float(result.mip_dual_bound)

    def _constrain(self, row: Row, low: float, high: float = np.inf) -> None:
        self._rows.append(row)
        self._low.append(low)
        self._high.append(high)

    def _after(self, first: int, second: int) -> Row:
        """The time between the end of one kernel and the start of another."""
        starts = {self._number["start", second]: 1.0, self._number["start", first]: -1.0}
        return _sum(starts, self._duration(first, -1.0))

    def _duration(self, k: int, sign: float) -> Row:
        row = {}
        for p in self._processors:
            latency = float(self._problem.costs.full[k, p])
            if np.isfinite(latency):
                row[self._number["x", k, p]] = sign * latency
            for tensor in self._fetched(k):
                row[self._number["copy", tensor, p, k]] = sign * self._copy_us(tensor, p)
        return row

    def _copies(self, tensor: int, k: int) -> None:
        """A reader away from the writer needs a copy, its own or an earlier reader's there."""
        data = self._problem.tensors[tensor]
        for p in self._processors:
            row = {self._number["x", data.writer, p]: 1.0, self._number["x", k, p]: -1.0}
            copies = {self._number["copy", tensor, p, other]: 1.0 for other in data.readers if other <= k}
            self._constrain(_sum(row, copies), 0.0)
            # A kernel makes copies only where it runs.
            self._constrain({self._number["x", k, p]: 1.0, self._number["copy", tensor, p, k]: -1.0}, 0.0)

    def _fetched(self, k: int) -> list[int]:
        return [t for t in self._problem.kernels[k].reads if self._problem.tensors[t].writer >= 0]

    def _copy_us(self, tensor: int, target: int) -> float:
        """The cheapest copy to a processor (tests use one cost for all pairs)."""
        size = self._problem.tensors[tensor].size_bytes
        table = self._problem.costs.transfer
        return min((table[p][target].cost_us(size) for p in self._processors if p != target), default=0.0)

    def _horizon(self) -> float:
        latency = self._problem.costs.full
        total = float(np.where(np.isfinite(latency), latency, 0.0).max(axis=1).sum())
        return total + sum(
            self._copy_us(tensor, p)
            for k in range(self._count)
            for tensor in self._fetched(k)
            for p in self._processors
        )


def _sum(*rows: Row) -> Row:
    total: dict[int, float] = {}
    for row in rows:
        for column, value in row.items():
            total[column] = total.get(column, 0.0) + value
    return total


def _reachable(problem: Problem) -> list[set[int]]:
    """For each kernel all that depend on it."""
    reach: list[set[int]] = [set() for _ in problem.kernels]
    for kernel in reversed(problem.kernels):
        for follower in problem.after[kernel.index]:
            reach[kernel.index] |= {follower} | reach[follower]
    return reach
