"""What a timeline makes of processors and memory."""

from collections import defaultdict

import numpy as np

from app.planning.plan import Usage
from app.planning.problem import Problem
from app.planning.timeline import Timeline


def shares(problem: Problem, timeline: Timeline) -> dict[str, Usage]:
    """Return each processor's time by kind: busy, waiting (more to do, not yet possible), idle (nothing)."""
    total = timeline.latency_us
    busy = [0.0] * len(problem.processors)
    last = [0.0] * len(problem.processors)
    for place, work in enumerate(timeline.draft.works):
        busy[work.processor] += timeline.end_us[place] - timeline.start_us[place]
        last[work.processor] = max(last[work.processor], timeline.end_us[place])
    if total <= 0:
        return {processor.name: Usage(0.0, 0.0, 1.0) for processor in problem.processors}
    usage = {}
    for place, processor in enumerate(problem.processors):
        active = min(busy[place] / total, 1.0)
        waiting = max(0.0, last[place] - busy[place]) / total
        usage[processor.name] = Usage(active, waiting, max(0.0, 1.0 - active - waiting))
    return usage


def peak_memory_bytes(problem: Problem, timeline: Timeline) -> float:
    """Return the most bytes of activations alive at once.

    A tensor lives on a processor from the start of the kernel that writes it (or of the work that copies
    it) to the end of the last kernel there that reads it, or that it is copied from; parts count their
    share. Results of the model live until the end.
    """
    born: dict[tuple[int, int], float] = {}
    dies: dict[tuple[int, int], float] = defaultdict(float)
    size: dict[tuple[int, int], float] = defaultdict(float)
    for place, work in enumerate(timeline.draft.works):
        share = 1.0 if work.split is None else work.split.length
        time = timeline.start_us[place]
        for copy in timeline.copies[place]:
            key = (copy.tensor, work.processor)
            born.setdefault(key, time)
            size[key] += copy.size_bytes
            time += copy.cost_us
            origin = (copy.tensor, copy.source)
            dies[origin] = max(dies[origin], time)
        time = timeline.start_us[place] + timeline.fixed_us[place]
        for index, latency in zip(work.kernels, timeline.kernels_us[place], strict=True):
            kernel = problem.kernels[index]
            for tensor in kernel.writes:
                key = (tensor, work.processor)
                born.setdefault(key, time)
                size[key] += problem.tensors[tensor].size_bytes * share
                if not problem.tensors[tensor].readers:
                    dies[key] = timeline.latency_us
            time += latency
            for tensor in (*kernel.reads, *kernel.writes):
                key = (tensor, work.processor)
                dies[key] = max(dies[key], time)
    if not born:
        return 0.0
    keys = list(born)
    changes = np.array([size[key] for key in keys])
    times = np.array([born[key] for key in keys] + [dies[key] for key in keys])
    deltas = np.concatenate([changes, -changes])
    # At the same instant a tensor is born before another dies: the kernel between them needs both.
    order = np.lexsort((-deltas, times))
    return float(np.cumsum(deltas[order]).max())
