"""Works that run at the same time slow each other down: they share one memory.

A work is slowed in proportion to the bytes a microsecond that the works beside it move (HaX-CoNN, PPoPP '24,
models the same effect by the demand of both sides). The coefficient of a pair of processors is learned from
executed stages; until then there is none, and nothing is slowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.planning.problem import Problem
from app.planning.timeline import Timeline, longest_path

_ROUNDS = 2
_MOST = 4.0
"""No work is thought to be slowed by more than this factor."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One executed stage: what it was expected to take alone, what it took, and the demand beside it.

    `demand` is the mean of bytes a microsecond that stages on the other processor moved meanwhile.
    """

    expected_us: float
    measured_us: float
    demand: float


def fit(observations: Sequence[Observation]) -> float:
    """Return the coefficient of a pair of processors: relative slowdown per byte a microsecond beside it.

    Least squares through the origin on relative slowdowns; 0 where there is no evidence of any.
    """
    useful = [item for item in observations if item.expected_us > 0 and item.demand > 0]
    if not useful:
        return 0.0
    slowdown = np.array([item.measured_us / item.expected_us - 1.0 for item in useful])
    demand = np.array([item.demand for item in useful])
    return max(0.0, float(slowdown @ demand / (demand @ demand)))


def contended(problem: Problem, timeline: Timeline) -> Timeline:
    """Return the timeline with works slowed by those beside them, by a fixed number of rounds."""
    coefficients = problem.costs.contention
    if not any(any(row) for row in coefficients):
        return timeline
    works = timeline.draft.works
    moved = [float(problem.structure.moved_bytes[list(work.kernels)].sum()) for work in works]
    shares = [1.0 if work.split is None else work.split.length for work in works]
    alone = [sum(kernels) for kernels in timeline.kernels_us]
    start, end, factors = list(timeline.start_us), list(timeline.end_us), [1.0] * len(works)
    for _ in range(_ROUNDS):
        for place, work in enumerate(works):
            length = end[place] - start[place]
            slower = 0.0
            for other, beside in enumerate(works):
                coefficient = coefficients[work.processor][beside.processor]
                overlap = min(end[place], end[other]) - max(start[place], start[other])
                if other == place or not coefficient or overlap <= 0 or length <= 0:
                    continue
                demand = moved[other] * shares[other] / max(end[other] - start[other], 1e-9)
                slower += coefficient * demand * overlap / length
            factors[place] = min(1.0 + slower, _MOST)
        durations = [
            fixed + compute * factor
            for fixed, compute, factor in zip(timeline.fixed_us, alone, factors, strict=True)
        ]
        start, end = longest_path(timeline.waits, timeline.release_us, durations)
    kernels = tuple(
        tuple(latency * factor for latency in row)
        for row, factor in zip(timeline.kernels_us, factors, strict=True)
    )
    return replace(timeline, kernels_us=kernels, start_us=tuple(start), end_us=tuple(end))
