"""Latencies that no plan can beat."""

import numpy as np

from app.planning.pairs import Floats, pairs, part_times
from app.planning.problem import Problem
from app.planning.splitting import Dimension


def lower_bound_us(problem: Problem, *, splits: bool) -> float:
    """Return a bound on the mean latency of every plan that keeps the model.

    The larger of two: the critical path with each kernel at its fastest, and all work spread evenly over
    processors that can run at the same time. With `splits`, a kernel's fastest is its best split over two
    processors, and its least work that of its best split.
    """
    latency = problem.costs.full
    fastest = latency.min(axis=1)
    least = fastest.copy()
    if splits:
        for dimension in Dimension:
            split_time, split_work = _best_splits(problem, dimension)
            fastest = np.fmin(fastest, split_time)
            least = np.fmin(least, split_work)
    end: list[float] = []
    for kernel in problem.kernels:
        begin = max((end[earlier] for earlier in kernel.before), default=0.0)
        begin = max(begin, problem.models[kernel.model].release_us)
        end.append(begin + float(fastest[kernel.index]))
    return max(max(end, default=0.0), float(least.sum()) / _width(problem))


def _width(problem: Problem) -> int:
    """Return the most processors that can run at once, or a number above it."""
    independent: list[frozenset[str]] = []
    for processor in problem.processors:
        if all(processor.resources.isdisjoint(other) for other in independent):
            independent.append(processor.resources)
    # Greedy counts too few where one processor holds several resources that others hold singly.
    resources = {resource for processor in problem.processors for resource in processor.resources}
    return max(1, len(independent), min(len(resources), len(problem.processors)))


def _best_splits(problem: Problem, dimension: Dimension) -> tuple[Floats, Floats]:
    """Return the least time, and the least work, of each kernel split over two processors; NaN without.

    Ratios are looked at in steps of 0.05, on which all that strategies use lie; a part may also compute
    more than its share, so that its bound is the least of all larger parts.
    """
    fractions = [step / 20 for step in range(1, 20)]
    parts = [part_times(problem, dimension, place, fractions) for place in range(len(problem.processors))]
    floor = [np.minimum.accumulate(part[:, ::-1], axis=1)[:, ::-1] for part in parts]
    time = np.full(len(problem.kernels), np.nan)
    work = time.copy()
    for one, other in pairs(problem):
        first, second = floor[one], floor[other][:, ::-1]
        # Rows of NaN (not splittable) stay NaN.
        time = np.fmin(time, np.fmin.reduce(np.maximum(first, second), axis=1))
        work = np.fmin(work, np.fmin.reduce(first + second, axis=1))
    return time, work
