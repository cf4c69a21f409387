"""What a plan's accelerators could not run, and what that cost."""

import numpy as np

from app.planning.plan import Fallback
from app.planning.problem import Problem
from app.planning.timeline import Timeline


def fallback_of(problem: Problem, timeline: Timeline) -> Fallback:
    """Return the kernels that run on a CPU because an accelerator that the plan uses does not support them.

    The cost is what the works holding them spend on dispatch and copies, what the accelerators spend on
    fetching their results, and the kernels' own latency.
    """
    works = timeline.draft.works
    used = {work.processor for work in works if problem.processors[work.processor].kind != "cpu"}
    if not used:
        return Fallback(0.0, (), 0.0)
    runs = np.isfinite(problem.costs.full[:, sorted(used)])
    refused = set(np.flatnonzero(~runs.all(axis=1)).tolist())
    fallen: set[int] = set()
    cost = 0.0
    for place, work in enumerate(works):
        if problem.processors[work.processor].kind != "cpu":
            continue
        mine = [index for index in work.kernels if index in refused]
        if not mine:
            continue
        fallen.update(mine)
        latency = dict(zip(work.kernels, timeline.kernels_us[place], strict=True))
        cost += timeline.fixed_us[place] + sum(latency[index] for index in mine)
    for place, work in enumerate(works):
        if work.processor in used:
            cost += sum(
                copy.cost_us
                for copy in timeline.copies[place]
                if problem.tensors[copy.tensor].writer in fallen
            )
    names = tuple(
        dict.fromkeys(
            name
            for index in sorted(fallen)
            for name in (problem.kernels[index].covers or (problem.kernels[index].name,))
        )
    )
    return Fallback(len(fallen) / max(len(problem.kernels), 1), names, cost)
