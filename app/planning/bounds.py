"""Latencies that no plan can beat."""

import numpy as np

from app.planning.problem import Problem


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
        for table in problem.costs.splits.values():
            split_time, split_work = _best_splits(problem, table)
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


def _best_splits(problem: Problem, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each kernel the least time, and the least work, of a split over two processors; NaN without."""
    kernels, processors, fractions = table.shape
    time = np.full(kernels, np.nan)
    work = np.full(kernels, np.nan)
    # Parts may be interpolated between fractions: each half is bounded by its smaller neighbour.
    floor = np.minimum.accumulate(table[:, :, ::-1], axis=2)[:, :, ::-1]
    for one in range(processors):
        for other in range(processors):
            if problem.shares[one, other]:
                continue
            for place in range(fractions - 1):
                first = floor[:, one, place]
                second = floor[:, other, fractions - 2 - place]
                time = np.fmin(time, np.maximum(first, second))
                work = np.fmin(work, first + second)
    return time, work
