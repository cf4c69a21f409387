"""Which layouts a search tries for each unit, what they take, and how much must follow."""

from collections.abc import Sequence
from math import isnan
from operator import itemgetter

import numpy as np

from app.planning.layouts import Fetch, Layout, fetches, split, whole
from app.planning.pairs import pairs
from app.planning.problem import Problem
from app.planning.splitting import FRACTIONS, Dimension
from app.planning.units import Unit

_MAX_SPLITS = 2
"""Splits tried a unit, the best by its own time; besides, the split of what it reads is gone on with."""

Shape = tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]
"""Of a unit in a layout: the processors, the times of the parts, the dispatch costs."""


class Candidates:
    """Layouts by number (the first ones are the processors), with everything precomputed about them."""

    def __init__(self, problem: Problem, units: Sequence[Unit]) -> None:
        self._problem = problem
        self._units = units
        self.processors = len(problem.processors)
        self.layouts: list[Layout] = [whole(place) for place in range(len(problem.processors))]
        self._index = {layout: place for place, layout in enumerate(self.layouts)}
        self._sides: list[tuple[int, ...]] = [(place,) for place in range(self.processors)]
        self._shapes: dict[tuple[int, int], Shape] = {}
        self._fetches: dict[tuple[int, int, int, int], tuple[Fetch, ...]] = {}
        self.of_unit = self._promising()
        self._fastest = [
            min((max(self.shape(step, layout)[1]) for layout in layouts), default=0.0)
            for step, layouts in enumerate(self.of_unit)
        ]
        self.tail_us = self._tails()
        self.left_us = self._left()
        self.speed, self.team_us = self._team()

    def _promising(self) -> list[list[int]]:
        """For each unit the layouts worth trying: every processor, and the splits that beat them alone."""
        whole_us = np.array([unit.whole_us for unit in self._units])
        layouts = [np.flatnonzero(np.isfinite(row)).tolist() for row in whole_us]
        best = whole_us.min(axis=1)
        offers: list[list[tuple[float, Dimension, tuple[int, int], int]]] = [[] for _ in self._units]
        dispatch = self._problem.costs.dispatch_us
        for dimension in Dimension:
            rows = [row for row, unit in enumerate(self._units) if dimension in unit.parts_us]
            if not rows:
                continue
            table = np.stack([self._units[row].parts_us[dimension] for row in rows])
            for one, other in pairs(self._problem):
                both = np.maximum(
                    table[:, one, :-1] + dispatch[one], table[:, other, -2::-1] + dispatch[other]
                )
                both = np.where(np.isnan(both), np.inf, both)
                place = both.argmin(axis=1)
                cost = both[np.arange(len(rows)), place]
                better = np.flatnonzero(cost < best[rows])
                for item, value, column in zip(
                    better.tolist(), cost[better].tolist(), place[better].tolist(), strict=True
                ):
                    offers[rows[item]].append((value, dimension, (one, other), column))
        for row, offer in enumerate(offers):
            offer.sort(key=itemgetter(0))
            layouts[row] += [
                self._number(split(dimension, pair, FRACTIONS[column]))
                for _, dimension, pair, column in offer[:_MAX_SPLITS]
            ]
        return layouts

    def competitive(self, step: int) -> list[int]:
        """Return a unit's layouts without those that lose even if all its tensors had to move for others.

        That holds where nothing runs beside the unit.
        """
        unit, costs = self._units[step], self._problem.costs
        sizes = [self._problem.tensors[tensor].size_bytes for tensor in (*unit.reads, *unit.writes)]
        slowest = max(
            (sum(item.cost_us(size) for size in sizes) for row in costs.transfer for item in row), default=0.0
        )
        times = [max(self.shape(step, layout)[1]) for layout in self.of_unit[step]]
        most = min(times, default=0.0) + 2 * (slowest + max(costs.dispatch_us))
        return [layout for layout, time in zip(self.of_unit[step], times, strict=True) if time <= most]

    def _number(self, layout: Layout) -> int:
        if layout not in self._index:
            self._index[layout] = len(self.layouts)
            self.layouts.append(layout)
            self._sides.append(tuple(processor for processor, _, _ in layout.sides))
        return self._index[layout]

    def _left(self) -> list[float]:
        """For each unit the least work of all that follow it."""
        work = [
            min((sum(self.shape(step, layout)[1]) for layout in layouts), default=0.0)
            for step, layouts in enumerate(self.of_unit)
        ]
        return [*np.cumsum(work[::-1])[::-1][1:].tolist(), 0.0]

    def _team(self) -> tuple[list[float], list[float]]:
        """Return each processor's share of the team's speed, and each unit's time if all could share it."""
        times = np.maximum([unit.whole_us for unit in self._units], 1e-3)
        rates = 1.0 / times  # 0 where not supported
        together = rates.sum(axis=1)
        share = (rates / together[:, None]).mean(axis=0)
        return share.tolist(), (1.0 / together).tolist()

    def fits(self, step: int, layout: int) -> bool:
        """Tell whether a unit can be cut as a layout is, and both processors support it."""
        unit = self._units[step]
        return self.layouts[layout].dimension in unit.parts_us and not any(
            isnan(time) for time in self.shape(step, layout)[1]
        )

    def sides(self, layout: int) -> tuple[int, ...]:
        """Return the processors of a layout."""
        return self._sides[layout]

    def shape(self, step: int, layout: int) -> Shape:
        """Return processors, part times and dispatch costs of a unit in a layout."""
        key = (step, layout)
        found = self._shapes.get(key)
        if found is None:
            sides = self._sides[layout]
            dispatch = tuple(self._problem.costs.dispatch_us[processor] for processor in sides)
            found = self._shapes[key] = (sides, self._times(self._units[step], layout), dispatch)
        return found

    def copies(self, tensor: int, written: int, step: int, wanted: int) -> tuple[Fetch, ...]:
        """Return, for each side of a unit in layout `wanted`, what it copies of a tensor."""
        # On one processor every unit reads the whole tensor.
        key = (tensor, written, wanted, -1 if wanted < self.processors else step)
        found = self._fetches.get(key)
        if found is None:
            unit = self._units[step]
            found = self._fetches[key] = self._fetch(tensor, written, wanted, unit.halo, mixes=unit.mixes)
        return found

    def edges(self, tensor: int, written: int, wanted: int) -> tuple[Fetch, ...]:
        """Return the copies of a few rows beyond a part's own."""
        key = (tensor, written, wanted, -2)
        found = self._fetches.get(key)
        if found is None:
            found = self._fetches[key] = self._fetch(tensor, written, wanted, 1e-3, mixes=False)
        return found

    def _fetch(
        self, tensor: int, written: int, wanted: int, halo: float, *, mixes: bool
    ) -> tuple[Fetch, ...]:
        size = self._problem.tensors[tensor].size_bytes
        return fetches(
            self.layouts[written], self.layouts[wanted], size, halo, self._problem.costs, mixes=mixes
        )

    def begin_us(self, step: int) -> float:
        """Return the least time from a unit's start to the end of everything."""
        after = [self.tail_us[tensor] for tensor in self._units[step].writes]
        return self._fastest[step] + max(after, default=0.0)

    def _tails(self) -> dict[int, float]:
        """For each tensor the least time from its being written to the end of everything that follows."""
        tails = dict.fromkeys([tensor for unit in self._units for tensor in unit.writes], 0.0)
        for step in range(len(self._units) - 1, -1, -1):
            unit = self._units[step]
            after = max([tails[tensor] for tensor in unit.writes], default=0.0)
            begin = self._fastest[step] + after
            for tensor in unit.reads:
                tails[tensor] = max(tails[tensor], begin)
        return tails

    def _times(self, unit: Unit, layout: int) -> tuple[float, ...]:
        shape = self.layouts[layout]
        if shape.dimension is None:
            return (unit.whole_us[shape.sides[0][0]],)
        table = unit.parts_us[shape.dimension]
        return tuple(
            float(table[processor, round((high - low) * 10) - 1]) for processor, low, high in shape.sides
        )
