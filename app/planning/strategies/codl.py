"""Each operator split over CPU and accelerator by height or by output channels, in chains.

CoDL (MobiSys '22): hybrid-dimension partitioning in ratio steps of 0.1 (section 4.1): by height, where
halo rows are computed twice, or by output channels, where every layer gathers its whole input. Each
processor keeps its own data type and buffers (section 4.2), so that a hand-over pays the conversion that
the transfer costs hold. Operators split by height join a chain with one ratio and share nothing in between
(section 4.3), greedily while their own best ratio stays within 0.3 of the chain's.
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
    """Estimated times of every kernel: whole on each side (K, 2), split by each dimension (K, R)."""

    whole: Floats
    channels: Floats
    height: Floats
    first: Floats
    second: Floats


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
    estimates = _Estimates(
        whole,
        split_times(problem, Dimension.CHANNELS, pair, RATIOS, shared=1.0),
        split_times(problem, Dimension.HEIGHT, pair, RATIOS, shared=_HALO_SHARE),
        part_times(problem, Dimension.HEIGHT, pair[0], RATIOS),
        part_times(problem, Dimension.HEIGHT, pair[1], rest),
    )
    return [Draft(tuple(_works(problem, pair, estimates)))]


def _works(problem: Problem, pair: tuple[int, int], estimates: _Estimates) -> list[Work]:
    works: list[Work] = []
    count = len(problem.kernels)
    index = 0
    while index < count:
        kind, value = _best(estimates, index)
        if kind == "height":
            end, ratio = _chain(problem, pair, estimates, index, value)
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


def _best(estimates: _Estimates, index: int) -> tuple[str, int]:
    """Return the cheapest way to run one kernel alone."""
    best = ("whole", int(np.argmin(estimates.whole[index])))
    cost = float(estimates.whole[index, best[1]])
    for kind, table in (("channels", estimates.channels), ("height", estimates.height)):
        if np.isnan(table[index]).all():
            continue
        place = int(np.nanargmin(table[index]))
        if float(table[index, place]) < cost:
            best, cost = (kind, place), float(table[index, place])
    return best


def _chain(
    problem: Problem, pair: tuple[int, int], estimates: _Estimates, begin: int, ratio: int
) -> tuple[int, float]:
    """Extend a chain from one kernel; return its end and its common ratio."""
    end = begin + 1
    chosen = ratio
    overhead = float(estimates.height[begin, ratio]) - max(
        float(estimates.first[begin, ratio]), float(estimates.second[begin, ratio])
    )
    total = float(estimates.height[begin, ratio])
    while end < len(problem.kernels):
        kernel = problem.kernels[end]
        row = estimates.height[end]
        if np.isnan(row).all() or end - 1 not in kernel.before:
            break
        if kernel.model != problem.kernels[begin].model:
            break
        own = int(np.nanargmin(row))
        if abs(RATIOS[own] - RATIOS[chosen]) > DELTA + 1e-9:
            break
        first = np.nansum(estimates.first[begin : end + 1], axis=0)
        second = np.nansum(estimates.second[begin : end + 1], axis=0)
        joint = np.maximum(first, second) + overhead
        best = int(np.argmin(joint))
        kind, place = _best(estimates, end)
        alone = float(
            {"whole": estimates.whole, "channels": estimates.channels, "height": estimates.height}[kind][
                end, place
            ]
        )
        if float(joint[best]) >= total + alone:
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
