"""The model stretched into parallel branches that meet at chosen places: it must be retrained.

NN-Stretch (MobiSys '23): a long, narrow model becomes a short, wide one. Between meeting points each
processor runs the model's skeleton at its own width, and only there do branches exchange what they
computed; widths follow the processors' speeds so that branches end together. A branch of width `f` mixes
`f` of the input channels into `f` of the outputs, so its convolutions shrink twice. Fewer meeting points
are faster and keep less of the model's accuracy; they are put where the resolution changes. Nothing is
said of accuracy here, and no answer ranks this against plans that keep the model.
"""

from collections.abc import Sequence

import numpy as np

from app.planning.effort import Effort
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension, mixes_channels
from app.planning.strategy import Granularity, ImpossibleError, Strategy

_WIDTH_STEPS = 40
"""Widths are whole multiples of 1 / `_WIDTH_STEPS`."""


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return one draft with a branch on every processor that can run beside the others."""
    team = _team(problem)
    if len(team) < 2:
        raise ImpossibleError("stretching needs two processors that can run at the same time")
    works: list[Work] = []
    scale: list[float] = []
    for members in _segments(problem, team):
        if len(members) == 1 and not _stretches(problem, team, members[0]):
            place = int(np.argmin(problem.costs.full[members[0]]))
            works.append(Work(tuple(members), place))
            scale.append(1.0)
            continue
        low = 0.0
        for processor, width in zip(team, _widths(problem, team, members), strict=True):
            if width <= 0:
                continue
            high = low + width
            if high > 1 - 1e-9:
                high = 1.0
            works.append(Work(tuple(members), processor, Split(Dimension.CHANNELS, low, high)))
            scale.append(_shrink(problem, processor, members, high - low))
            low = high
    if not any(work.split for work in works):
        raise ImpossibleError("no stretch of this model can be widened: none of its operators has channels")
    return [Draft(tuple(works), requires_retraining=True, scale=tuple(scale))]


def _team(problem: Problem) -> list[int]:
    """Processors that can run side by side, the fastest first."""
    known = np.isfinite(problem.costs.full)
    total = np.where(known, problem.costs.full, 0.0).sum(axis=0)
    speed = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    team: list[int] = []
    for place in np.argsort(speed, kind="stable").tolist():
        if not np.isnan(speed[place]) and not any(problem.shares[place, other] for other in team):
            team.append(place)
    return team


def _stretches(problem: Problem, team: Sequence[int], index: int) -> bool:
    parts = problem.costs.splits[Dimension.CHANNELS][index, list(team)]
    return bool(np.isfinite(parts).all())


def _segments(problem: Problem, team: Sequence[int]) -> list[list[int]]:
    """Return the runs of kernels between meeting points; what cannot be widened stands alone."""
    narrow = {block.join for block in problem.blocks}
    segments: list[list[int]] = []
    current: list[int] = []
    for kernel in problem.kernels:
        index = kernel.index
        if not _stretches(problem, team, index):
            segments += [current, [index]] if current else [[index]]
            current = []
            continue
        if current and problem.kernels[current[0]].model != kernel.model:
            segments.append(current)
            current = []
        current.append(index)
        if index in narrow and _changes_resolution(problem, index):
            segments.append(current)
            current = []
    return [*segments, current] if current else segments


def _changes_resolution(problem: Problem, index: int) -> bool:
    """Tell whether the next kernels work at another height."""
    outputs = problem.kernels[index].operator.outputs
    if not outputs or len(outputs[0]) != 4:
        return True
    following = [problem.kernels[other].operator.outputs for other in problem.after[index]]
    return any(not shapes or len(shapes[0]) != 4 or shapes[0][2] != outputs[0][2] for shapes in following)


def _widths(problem: Problem, team: Sequence[int], members: Sequence[int]) -> list[float]:
    """Share the width so that branches end together: the slowest gives a step to the others in turn."""
    times = [float(problem.costs.full[list(members), place].sum()) for place in team]
    speed = np.array([1.0 / max(time, 1e-9) for time in times])
    # A branch's time falls about with the square of its width.
    share = np.sqrt(speed) / np.sqrt(speed).sum()
    steps = np.maximum(np.round(share * _WIDTH_STEPS), 0).astype(int)
    steps[0] += _WIDTH_STEPS - int(steps.sum())
    return [float(step) / _WIDTH_STEPS for step in steps]


def _shrink(problem: Problem, processor: int, members: Sequence[int], width: float) -> float:
    """Factor on the time of a part by output channels, for kernels that also read fewer channels."""
    parts = np.array(
        [problem.costs.part_us(index, processor, Dimension.CHANNELS, width) for index in members]
    )
    mixing = np.array([mixes_channels(problem.kernels[index].operator) for index in members])
    total = float(parts.sum())
    if total <= 0:
        return 1.0
    return float((parts * np.where(mixing, width, 1.0)).sum()) / total


STRATEGY = Strategy("nn-stretch", Granularity.INTRA_OPERATOR, propose)
