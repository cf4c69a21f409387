"""Sub-graphs of many requests, scheduled over processors as they come free.

Band (MobiSys '22): operators with identical sets of supporting processors that are reachable together form
unit sub-graphs; on anything but a CPU, segments shorter than 7 operators are dropped from the support.
Sub-graphs of one request run one after the other; parallelism is across requests. Expected
latencies include waiting in queues and leave copies out. The schedulers are its own: shortest expected
latency, HEFT over a window (the request with the largest best latency first) with and without reserving a
request's next sub-graph, and least slack first where there are deadlines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.planning.effort import Effort
from app.planning.plan import Draft, Work
from app.planning.problem import Problem
from app.planning.strategy import Granularity, ImpossibleError, Strategy

MINIMUM_SUBGRAPH = 7


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Kernels of one request that run together; `latency_us` by processor, infinite where unsupported."""

    kernels: tuple[int, ...]
    latency_us: tuple[float, ...]


@dataclass
class _Job:
    """One request on its way: what is left of it, and when its last sub-graph ends."""

    model: int
    subgraphs: list[Subgraph]
    ready_us: float
    deadline_us: float
    next: int = 0
    works: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Pick:
    job: _Job
    processor: int
    expected_us: float
    following: tuple[int, float] | None


Rule = Callable[[Sequence[_Pick], float], _Pick]


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return one draft a scheduler."""
    jobs = [unit_subgraphs(problem, model) for model in range(len(problem.models))]
    if any(min(unit.latency_us) == float("inf") for units in jobs for unit in units):
        raise ImpossibleError("some sub-graph is supported by no processor once short segments are dropped")
    if len(jobs) == 1:
        # With one request in the queue all schedulers decide alike.
        return [_schedule(problem, jobs, _first_come, reserve=False)]
    drafts = [
        replace(_schedule(problem, jobs, _first_come, reserve=False), note="shortest expected latency"),
        replace(_schedule(problem, jobs, _largest_first, reserve=False), note="HEFT"),
        replace(_schedule(problem, jobs, _largest_first, reserve=True), note="HEFT, reserving"),
    ]
    if any(model.deadline_us is not None for model in problem.models):
        drafts.append(
            replace(_schedule(problem, jobs, _least_slack, reserve=False), note="least slack first")
        )
    return drafts


def unit_subgraphs(problem: Problem, model: int) -> list[Subgraph]:
    """Group one model's kernels by identical support, as far as their inputs are resolved."""
    members = [kernel.index for kernel in problem.kernels if kernel.model == model]
    support = np.isfinite(problem.costs.full[members])
    for column, processor in enumerate(problem.processors):
        if processor.kind != "cpu":
            _drop_short(support[:, column])
    mine = {index: tuple(row) for index, row in zip(members, support.tolist(), strict=True)}
    waiting = {index: sum(other in mine for other in problem.kernels[index].before) for index in members}
    ready = [index for index in members if not waiting[index]]
    units = []
    while ready:
        wanted = mine[min(ready)]
        group: list[int] = []
        fitting = [index for index in ready if mine[index] == wanted]
        ready = [index for index in ready if mine[index] != wanted]
        while fitting:
            index = fitting.pop()
            group.append(index)
            for follower in problem.after[index]:
                if follower in waiting:
                    waiting[follower] -= 1
                    if not waiting[follower]:
                        (fitting if mine[follower] == wanted else ready).append(follower)
        group.sort()
        latency = problem.costs.full[group].sum(axis=0)
        allowed = np.asarray(wanted)
        units.append(Subgraph(tuple(group), tuple(float(x) for x in np.where(allowed, latency, np.inf))))
    return units


def _drop_short(column: np.ndarray) -> None:
    """Unset runs of supported operators that are shorter than Band's minimum."""
    if column.all():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[0], column.astype(np.int8), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin < MINIMUM_SUBGRAPH:
            column[begin:end] = False


def _schedule(problem: Problem, jobs: Sequence[Sequence[Subgraph]], rule: Rule, *, reserve: bool) -> Draft:
    """Dispatch sub-graphs one by one, each job's next one to where it is expected to end first."""
    free = [0.0] * len(problem.processors)
    reserved: dict[int, tuple[int, float]] = {}
    works: list[Work] = []
    queue = [
        _Job(
            model,
            list(units),
            problem.models[model].release_us,
            problem.models[model].release_us + (problem.models[model].deadline_us or float("inf")),
        )
        for model, units in enumerate(jobs)
    ]
    finished: dict[int, float] = {}
    while True:
        waiting = [
            job
            for job in queue
            if job.next < len(job.subgraphs)
            and all(other in finished for other in problem.models[job.model].after)
        ]
        if not waiting:
            break
        now = min(max(job.ready_us, min(free)) for job in waiting)
        window = [job for job in waiting if job.ready_us <= now] or waiting
        ahead = None if len(window) > 1 else 2  # one request alone is not compared by how long it takes
        picks = [
            _pick(problem, job, free, reserved if reserve else {}, finished, ahead=ahead) for job in window
        ]
        pick = rule(picks, now)
        job = pick.job
        unit = job.subgraphs[job.next]
        begin = max(job.ready_us, free[pick.processor])
        end = begin + unit.latency_us[pick.processor]
        for place in range(len(free)):
            if problem.shares[pick.processor, place]:
                free[place] = max(free[place], end)
        after = (job.works[-1],) if job.works else ()
        job.works.append(len(works))
        works.append(Work(unit.kernels, pick.processor, after=after))
        job.next += 1
        job.ready_us = end
        reserved.pop(job.model, None)
        if pick.following is not None:
            reserved[job.model] = pick.following
        if job.next == len(job.subgraphs):
            finished[job.model] = end
    return Draft(_merged(tuple(works)))


def _pick(
    problem: Problem,
    job: _Job,
    free: Sequence[float],
    reserved: dict[int, tuple[int, float]],
    finished: dict[int, float],
    *,
    ahead: int | None,
) -> _Pick:
    """Find the processor of a job's next sub-graph by the shortest path through those that are left.

    At most the next `ahead` sub-graphs are looked at; None means all.
    """
    start = max([job.ready_us, *(finished[other] for other in problem.models[job.model].after)])
    queues = list(free)
    for model, (processor, latency) in reserved.items():
        if model != job.model:
            queues[processor] += latency
    count = len(problem.processors)
    ends: list[float] = [start] * count
    first: list[int] = list(range(count))
    second: list[tuple[int, float] | None] = [None] * count
    end = None if ahead is None else job.next + ahead
    for step, unit in enumerate(job.subgraphs[job.next : end]):
        if step == 0:
            ends = [max(start, queues[place]) + unit.latency_us[place] for place in range(count)]
            continue
        best = min(range(count), key=lambda place: (ends[place], place))
        base, origin, following = ends[best], first[best], second[best]
        ends = [max(base, queues[place]) + unit.latency_us[place] for place in range(count)]
        first = [origin] * count
        second = [following or (place, unit.latency_us[place]) for place in range(count)]
    best = min(range(count), key=lambda place: (ends[place], place))
    return _Pick(job, first[best], ends[best], second[best])


def _first_come(picks: Sequence[_Pick], _now: float) -> _Pick:
    return min(picks, key=lambda pick: (pick.job.ready_us, pick.job.model))


def _largest_first(picks: Sequence[_Pick], now: float) -> _Pick:
    return max(picks, key=lambda pick: (pick.expected_us - now, -pick.job.model))


def _least_slack(picks: Sequence[_Pick], _now: float) -> _Pick:
    return min(picks, key=lambda pick: (pick.job.deadline_us - pick.expected_us, pick.job.model))


def _merged(works: tuple[Work, ...]) -> tuple[Work, ...]:
    """Merge contiguous sub-graphs of one request on one processor."""
    merged: list[Work] = []
    place_of: dict[int, int] = {}
    for place, work in enumerate(works):
        before = work.after[0] if work.after else None
        last = place_of.get(before) if before is not None else None
        if last is not None and last == len(merged) - 1 and merged[last].processor == work.processor:
            merged[last] = replace(merged[last], kernels=(*merged[last].kernels, *work.kernels))
            place_of[place] = last
            continue
        place_of[place] = len(merged)
        merged.append(replace(work, after=(last,) if last is not None else ()))
    return tuple(merged)


STRATEGY = Strategy("band", Granularity.SUBGRAPH, propose)
