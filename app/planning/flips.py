"""Which slowdown of one processor would make another plan the best.

The ranking is asked again for each processor at a few slowdowns, all at once: the answer tells a scheduler
how far the context may drift before it should ask again.
"""

from collections.abc import Sequence

import numpy as np

from app.planning.problem import Problem
from app.planning.timeline import Timeline, sampled_ends_us

SLOWDOWNS = (1.25, 1.5, 2.0, 3.0, 5.0)
_RIVALS = 6
"""Rivals, the best first, that may take the lead."""


def flips(problem: Problem, best: Timeline, rivals: Sequence[Timeline]) -> dict[str, float]:
    """Return, for each processor whose slowdown flips the ranking, the least one that does.

    A plan takes the lead where it is faster by more than 1 %.
    """
    distinct = {rival.draft.works: rival for rival in rivals if rival.draft.works != best.draft.works}
    if not distinct:
        return {}
    leader = _latencies_us(problem, best)
    others = np.min([_latencies_us(problem, rival) for rival in list(distinct.values())[:_RIVALS]], axis=0)
    lost = others < leader * 0.99
    found = {}
    for place, processor in enumerate(problem.processors):
        slow = np.flatnonzero(lost[place])
        if slow.size:
            found[processor.name] = SLOWDOWNS[int(slow[0])]
    return found


def _latencies_us(problem: Problem, timeline: Timeline) -> np.ndarray:
    """Return the plan's latency under each processor's each slowdown, shape (P, len(SLOWDOWNS))."""
    count = len(problem.processors)
    factors = np.ones((count, count, len(SLOWDOWNS)))
    factors[np.arange(count), np.arange(count)] = SLOWDOWNS
    # factors[of whose work, under whose slowdown and which]
    processor = [work.processor for work in timeline.draft.works]
    compute = np.array([sum(kernels) for kernels in timeline.kernels_us])
    durations = compute[:, None] * factors.reshape(count, -1)[processor]
    durations += np.asarray(timeline.fixed_us)[:, None]
    sampled_ends_us(timeline.waits, timeline.release_us, durations)
    return np.asarray(durations.max(axis=0, initial=0.0).reshape(count, -1))
