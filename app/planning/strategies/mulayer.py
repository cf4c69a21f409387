"""Each layer split by output channels over a CPU and an accelerator, in coarse ratios.

µLayer (EuroSys '19): channel-wise workload distribution with one synchronisation a layer,
processor-friendly data types, 8-bit integers on the CPU and half precision on the GPU, where such timings
exist, and whole branches dealt to processors at forks. Its own predictor is
linear in multiply-accumulates per layer type and processor; ours decides here, and the note says what its
own would have cost.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.planning.blocks import Block
from app.planning.effort import Effort
from app.planning.evaluation import laid_out
from app.planning.pairs import Floats, fastest_pair, split_times
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension
from app.planning.strategy import Granularity, ImpossibleError, Strategy
from predictors.cost import macs

RATIOS = (0.25, 0.5, 0.75)
"""Shares of the first processor, besides all and nothing."""


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return the draft by our latencies; its note compares it with the paper's own predictor."""
    pair = fastest_pair(problem)
    if pair is None:
        raise ImpossibleError("splitting layers needs two processors that can run at the same time")
    if not np.isfinite(problem.costs.full[:, list(pair)]).any(axis=1).all():
        names = " and ".join(problem.processors[place].name for place in pair)
        raise ImpossibleError(f"{names} together do not run every operator")
    whole = problem.costs.full[:, list(pair)]
    split = split_times(problem, Dimension.CHANNELS, pair, RATIOS, shared=1.0)
    ours = _draft(problem, pair, whole, split)
    linear_whole, linear_split = _linear(problem, pair, whole, split)
    theirs = _draft(problem, pair, linear_whole, linear_split)
    cost = laid_out(problem, theirs).latency_us
    note = f"with its own predictor, linear in multiply-accumulates, µLayer's plan would take {cost:.0f} µs"
    return [_friendly(problem, replace(ours, note=note))]


def _draft(problem: Problem, pair: tuple[int, int], whole: Floats, split: Floats) -> Draft:
    """Choose each layer's ratio, and for each fork between splitting its layers and dealing its branches."""
    table = np.concatenate([whole, split], axis=1)
    choice = np.nanargmin(table, axis=1)
    layer = table[np.arange(len(table)), choice]
    works: list[Work] = []
    for block in problem.blocks:
        dealt = _dealt(problem, pair, block, whole, layer)
        if dealt is not None:
            _append_dealt(problem, works, block, pair, dealt)
        else:
            for index in sorted(index for branch in block.branches for index in branch):
                _append(problem, works, index, pair, int(choice[index]))
        _append(problem, works, block.join, pair, int(choice[block.join]))
    return Draft(tuple(works))


def _append_dealt(
    problem: Problem, works: list[Work], block: Block, pair: tuple[int, int], dealt: Sequence[int]
) -> None:
    """Add one work a side with that side's branches."""
    for side in (0, 1):
        members = sorted(
            index
            for branch, where in zip(block.branches, dealt, strict=True)
            if where == side
            for index in branch
        )
        if members:
            works.append(Work(tuple(members), pair[side]))


def _dealt(
    problem: Problem, pair: tuple[int, int], block: Block, whole: Floats, layer: Floats
) -> list[int] | None:
    """Return the side of each branch where dealing whole branches beats splitting their layers."""
    if not 2 <= len(block.branches) <= 8:
        return None
    sides = np.array([[whole[list(branch), side].sum() for side in (0, 1)] for branch in block.branches])
    split = float(sum(layer[index] for branch in block.branches for index in branch))
    best: tuple[float, int] | None = None
    for deal in range(1, 2 ** len(block.branches) - 1):
        loads = [0.0, 0.0]
        for branch in range(len(block.branches)):
            side = deal >> branch & 1
            loads[side] += float(sides[branch, side])
        cost = (
            max(loads[side] + problem.costs.dispatch_us[pair[side]] for side in (0, 1))
            + problem.costs.transfer[pair[1]][pair[0]].latency_us
        )
        if best is None or cost < best[0]:
            best = (cost, deal)
    if best is None or best[0] >= split:
        return None
    return [best[1] >> branch & 1 for branch in range(len(block.branches))]


def _append(problem: Problem, works: list[Work], index: int, pair: tuple[int, int], choice: int) -> None:
    """Add one layer: whole (0 and 1 name the side) or split; neighbours on one side share a work."""
    if choice >= 2:
        ratio = RATIOS[choice - 2]
        works.append(Work((index,), pair[0], Split(Dimension.CHANNELS, 0.0, ratio)))
        works.append(Work((index,), pair[1], Split(Dimension.CHANNELS, ratio, 1.0)))
        return
    last = works[-1] if works else None
    model = problem.kernels[index].model
    if (
        last is not None
        and last.split is None
        and last.processor == pair[choice]
        and problem.kernels[last.kernels[0]].model == model
        and set(problem.kernels[index].before) <= set(last.kernels)
    ):
        works[-1] = replace(last, kernels=(*last.kernels, index))
    else:
        works.append(Work((index,), pair[choice]))


def _linear(problem: Problem, pair: tuple[int, int], whole: Floats, split: Floats) -> tuple[Floats, Floats]:
    """Return the paper's predictions: a line over MACs per layer type and processor."""
    structure = problem.structure
    work = np.array([float(macs(operator)) for operator in structure.operators])[structure.row]
    types = np.array([operator.op_type for operator in structure.operators])[structure.row]
    start, rate = np.zeros_like(whole), np.zeros_like(whole)
    for op_type in np.unique(types):
        rows = np.flatnonzero(types == op_type)
        for side in (0, 1):
            known = rows[np.isfinite(whole[rows, side])]
            if len(known) == 0:
                start[rows, side] = np.inf
                continue
            base, slope = _line(work[known], whole[known, side])
            start[rows, side], rate[rows, side] = max(base, 0.0), max(slope, 0.0)
    ratios = np.asarray(RATIOS)
    first = start[:, :1] + rate[:, :1] * work[:, None] * ratios
    second = start[:, 1:] + rate[:, 1:] * work[:, None] * (1 - ratios)
    sync = sum(problem.costs.dispatch_us[place] for place in pair) / 2
    predicted = np.where(np.isnan(split), np.nan, np.maximum(first, second) + sync)
    line = start + rate * work[:, None]
    return np.where(np.isfinite(whole), line, np.inf), predicted


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return start and slope of the least-squares line; through the origin where one x is all there is."""
    spread = x - x.mean()
    squares = float(spread @ spread)
    if squares > 0:
        slope = float(spread @ y) / squares
        return float(y.mean()) - slope * float(x.mean()), slope
    x_mean, y_mean = float(x.mean()), float(y.mean())
    return (0.0, y_mean / x_mean) if x_mean > 0 else (y_mean, 0.0)


def _friendly(problem: Problem, draft: Draft) -> Draft:
    """Compute in each processor's own data type where it was timed in that type."""
    scale = problem.costs.friendly_scale
    factors = []
    for work in draft.works:
        table = problem.costs.full[list(work.kernels), work.processor]
        total = float(table.sum())
        better = float((table * scale[list(work.kernels), work.processor]).sum())
        factors.append(better / total if total > 0 else 1.0)
    if all(factor == 1.0 for factor in factors):
        return draft
    return replace(draft, scale=tuple(factors), note=draft.note + "; computes in each processor's data type")


STRATEGY = Strategy("mulayer", Granularity.INTRA_OPERATOR, propose)
