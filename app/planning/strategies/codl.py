"""Each operator split over CPU and accelerator by height or by output channels, in chains.

CoDL (MobiSys '22): hybrid-dimension partitioning in ratio steps of 0.1: by height, where
halo rows are computed twice, or by output channels, where every layer gathers its whole input. Each
processor keeps its own data type and buffers, so that a hand-over pays the conversion that
the transfer costs hold. Operators split by height join a chain with one ratio and share nothing in between,
greedily while their own best ratio stays within 0.3 of the chain's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.planning.effort import Effort
from app.planning.pairs import Floats, fastest_pair, part_times, split_times
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension
from app.planning.strategy import Granularity, ImpossibleError, Strategy

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))
DELTA = 0.3
_HALO_SHARE = 0.1
"""Share of a height-split input that crosses processors, for the estimate; the simulator counts rows."""


@dataclass(frozen=True)
class _Estimates:
    """Estimated times of every kernel: whole on each side (K, 2), split by each dimension (K, R).

    `first` and `second` are the parts by height without copies; `best_height` is the place of the best
    ratio by height, -1 where a kernel cannot be cut so.
    """

    whole: Floats
    channels: Floats
    height: Floats
    first: Floats
    second: Floats
    best_height: list[int]


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return the draft of the fastest pair of processors."""
    pair = fastest_pair(problem)
    if pair is None:
        raise ImpossibleError("co-execution needs two processors that can run at the same time")
    whole = problem.costs.full[:, list(pair)]
    if not np.isfinite(whole).any(axis=1).all():
        names = " and ".join(problem.processors[place].name for place in pair)
        raise ImpossibleError(f"{names} together do not run every operator")
    rest = [1.0 - ratio for ratio in RATIOS]
    height = split_times(problem, Dimension.HEIGHT, pair, RATIOS, shared=_HALO_SHARE)
    known = np.where(np.isnan(height), np.inf, height)
    estimates = _Estimates(
        whole,
        split_times(problem, Dimension.CHANNELS, pair, RATIOS, shared=1.0),
        height,
        part_times(problem, Dimension.HEIGHT, pair[0], RATIOS),
        part_times(problem, Dimension.HEIGHT, pair[1], rest),
        np.where(np.isfinite(known).any(axis=1), known.argmin(axis=1), -1).tolist(),
    )
    return [Draft(tuple(_works(problem, pair, estimates)))]


def _works(problem: Problem, pair: tuple[int, int], estimates: _Estimates) -> list[Work]:
    works: list[Work] = []
    count = len(problem.kernels)
    index = 0
    ways, alone_us = _alone(estimates)
    while index < count:
        kind, value = ways[index]
        if kind == "height":
            end, ratio = _chain(problem, estimates, index, value, alone_us)
            members = tuple(range(index, end))
            works.append(Work(members, pair[0], Split(Dimension.HEIGHT, 0.0, ratio)))
            works.append(Work(members, pair[1], Split(Dimension.HEIGHT, ratio, 1.0)))
            index = end
            continue
        if kind == "channels":
            ratio = RATIOS[value]
            works.append(Work((index,), pair[0], Split(Dimension.CHANNELS, 0.0, ratio)))
            works.append(Work((index,), pair[1], Split(Dimension.CHANNELS, ratio, 1.0)))
        else:
            _append_whole(problem, works, index, pair[value])
        index += 1
    return works


def _alone(estimates: _Estimates) -> tuple[list[tuple[str, int]], list[float]]:
    """Return the cheapest way to run each kernel alone, and its time."""
    tables = {"whole": estimates.whole, "channels": estimates.channels, "height": estimates.height}
    filled = [np.where(np.isnan(table), np.inf, table) for table in tables.values()]
    places = np.stack([table.argmin(axis=1) for table in filled])
    costs = np.stack([table.min(axis=1) for table in filled])
    kinds = costs.argmin(axis=0)
    every = np.arange(costs.shape[1])
    names = list(tables)
    ways = zip(kinds.tolist(), places[kinds, every].tolist(), strict=True)
    return [(names[kind], place) for kind, place in ways], costs[kinds, every].tolist()


def _chain(
    problem: Problem, estimates: _Estimates, begin: int, ratio: int, alone_us: Sequence[float]
) -> tuple[int, float]:
    """Extend a chain from one kernel; return its end and its common ratio."""
    end = begin + 1
    chosen = ratio
    first, second = estimates.first[begin], estimates.second[begin]
    total = float(estimates.height[begin, ratio])
    overhead = total - max(float(first[ratio]), float(second[ratio]))
    while end < len(problem.kernels):
        kernel = problem.kernels[end]
        own = estimates.best_height[end]
        if own < 0 or end - 1 not in kernel.before or kernel.model != problem.kernels[begin].model:
            break
        if abs(RATIOS[own] - RATIOS[chosen]) > DELTA + 1e-9:
            break
        first, second = first + estimates.first[end], second + estimates.second[end]
        joint = np.maximum(first, second) + overhead
        best = int(joint.argmin())
        if float(joint[best]) >= total + alone_us[end]:
            break
        total, chosen = float(joint[best]), best
        end += 1
    return end, RATIOS[chosen]


def _append_whole(problem: Problem, works: list[Work], index: int, processor: int) -> None:
    last = works[-1] if works else None
    kernel = problem.kernels[index]
    if (
        last is not None
        and last.split is None
        and last.processor == processor
        and problem.kernels[last.kernels[0]].model == kernel.model
    ):
        works[-1] = Work((*last.kernels, index), processor)
    else:
        works.append(Work((index,), processor))


STRATEGY = Strategy("codl", Granularity.INTRA_OPERATOR, propose)
