"""A bounded memory of learned runs that keeps the newest and, of the older ones, some of every kind."""

import random
from bisect import bisect
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Stratum = tuple[int, int]

_LENGTHS_LOG_US = (log(3e3), log(2e4))


@dataclass(frozen=True, slots=True)
class Row:
    """One learned run, or a stretch from the start of one.

    `features` are what was known before it started, `stretch` is log(total / calm), `group` names network
    and way of timing (empty for a stretch cut from a longer run), `predicted` the median stretch that was
    predicted for it (NaN: none) and `uncorrected` the same before the state's mean recent miss, `miss_log`,
    was taken into account; `state_log` is what recent runs alike said, `slowdown_log` the state-only rung,
    `trees_log` the trees (NaN: there were none yet), `fresh_log` the runtime rung while it trusts its state
    (NaN: it had no trees yet), `alone_log` context alone; `calm_log_us` is its calm length, `condition` its
    label, for the rung that may read it.
    """

    number: int
    features: Floats
    stretch: float
    group: str
    weight: float
    predicted: float
    uncorrected: float
    miss_log: float
    state_log: float
    slowdown_log: float
    trees_log: float
    fresh_log: float
    alone_log: float
    calm_log_us: float
    condition: str | None


class StratifiedBuffer:
    """Keeps at most `capacity` rows: the newest half, and an even share of strata among older ones.

    A stratum is a slowdown level and a length class, so that rare conditions outlive common ones. Within a
    stratum older rows are replaced at random (reservoir sampling, Vitter 1985), seeded: the same rows give
    the same buffer.
    """

    def __init__(self, capacity: int, seed: int = 7) -> None:
        self._newest: deque[tuple[Stratum, Row]] = deque()
        self._strata: dict[Stratum, list[Row]] = {}
        self._half = max(capacity // 2, 1)
        self._older = 0
        self._seed = seed
        self._random = random.Random(seed)

    def __len__(self) -> int:
        return len(self._newest) + self._older

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows in the order in which they were added."""
        older = [row for rows in self._strata.values() for row in rows]
        yield from sorted(older, key=lambda row: row.number)
        yield from (row for _, row in self._newest)

    def add(self, row: Row) -> None:
        """Add the newest row; constant time but for the rare eviction."""
        self._newest.append((_stratum(row), row))
        if len(self._newest) > self._half:
            self._keep(*self._newest.popleft())

    def newer(self, number: int) -> list[Row]:
        """Return the rows numbered `number` and on that are among the newest half, oldest first."""
        found: list[Row] = []
        for _, row in reversed(self._newest):
            if row.number < number:
                break
            found.append(row)
        return found[::-1]

    def older(self, number: int, count: int) -> list[Row]:
        """Return at most `count` rows numbered below `number`: an even share of strata, drawn at random."""
        strata: dict[Stratum, list[Row]] = defaultdict(list)
        for stratum, rows in self._strata.items():
            strata[stratum] += [row for row in rows if row.number < number]
        for stratum, row in self._newest:
            if row.number >= number:
                break
            strata[stratum].append(row)
        drawn = random.Random(self._seed)
        chosen: list[Row] = []
        for left, rows in zip(range(len(strata), 0, -1), sorted(strata.values(), key=len), strict=True):
            share = (count - len(chosen)) // left
            chosen += rows if len(rows) <= share else drawn.sample(rows, share)
        return sorted(chosen, key=lambda row: row.number)

    def _keep(self, stratum: Stratum, row: Row) -> None:
        own = self._strata.setdefault(stratum, [])
        if self._older < self._half:
            own.append(row)
            self._older += 1
            return
        largest = max(self._strata.values(), key=len)
        if len(own) < len(largest):
            largest.pop(self._random.randrange(len(largest)))
            own.append(row)
        else:
            own[self._random.randrange(len(own))] = row


def _stratum(row: Row) -> Stratum:
    slowdown = min(max(int(row.stretch * 4.0), -2), 8)
    return slowdown, bisect(_LENGTHS_LOG_US, row.calm_log_us)
