"""Works that run at the same time slow each other down: they share memory, caches and power.

A work is slowed by the share of it beside which another processor works, and in proportion to the bytes a
microsecond that both of them move (HaX-CoNN, PPoPP '24, models the same effect by the demand of both sides).
The coefficients of a pair of processors are learned from executed stages; until then nothing is slowed.
"""

from dataclasses import replace

from app.planning.lanes import Interval, Lanes
from app.planning.problem import Problem
from app.planning.timeline import Timeline, longest_path

_ROUNDS = 2
_MOST = 4.0
"""No work is thought to be slowed by more than this factor."""


def contended(problem: Problem, timeline: Timeline) -> Timeline:
    """Return the timeline with works slowed by those beside them, by a fixed number of rounds."""
    coefficients = problem.costs.contention
    if not any(any(row) for row in coefficients):
        return timeline
    works = timeline.draft.works
    moved = [moved_bytes(problem, timeline, place) for place in range(len(works))]
    alone = [sum(kernels) for kernels in timeline.kernels_us]
    start, end, factors = list(timeline.start_us), list(timeline.end_us), [1.0] * len(works)
    for _ in range(_ROUNDS):
        intervals = [
            Interval(work.processor, start[place], end[place], place) for place, work in enumerate(works)
        ]
        lanes = Lanes(intervals)
        for place, item in enumerate(intervals):
            length = item.end_us - item.start_us
            own = moved[place] / max(alone[place], 1e-9)
            slower = 0.0
            for other, overlap_us in lanes.beside(item):
                pair = coefficients[item.processor][other.processor]
                demand = moved[other.place] / max(other.end_us - other.start_us, 1e-9)
                slower += (pair.beside + pair.per_demand * own * demand) * overlap_us / length
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
    return replace(
        timeline, kernels_us=kernels, slowed=tuple(factors), start_us=tuple(start), end_us=tuple(end)
    )


def moved_bytes(problem: Problem, timeline: Timeline, place: int) -> float:
    """Return the bytes that a work's kernels move through memory: inputs, weights and outputs."""
    work = timeline.draft.works[place]
    share = 1.0 if work.split is None else work.split.length
    return share * float(problem.structure.moved_bytes[list(work.kernels)].sum())
