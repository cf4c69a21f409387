"""Whole models dealt to processors: the coarsest granularity.

Each job (a model, or one of its repetitions within a hyper-period) stays on one processor, unsupported
operators falling back to the CPU; jobs on different processors run side by side. Few jobs are dealt by
trying every assignment, many by taking the most urgent first (least slack, then the longest) to where it
ends first. Deadlines come before latency: the deal with the least total lateness wins, then the shortest.
"""

from collections.abc import Sequence
from itertools import product

from app.planning.effort import Effort
from app.planning.evaluation import laid_out
from app.planning.plan import Draft, Work
from app.planning.problem import Problem
from app.planning.staging import sequential
from app.planning.strategies.mace import with_fallback
from app.planning.strategy import Granularity, ImpossibleError, Strategy

_MAX_DEALS = 81


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return the best deal found."""
    placements = [with_fallback(problem, place) for place in range(len(problem.processors))]
    options = [place for place, placement in enumerate(placements) if placement is not None]
    if not options:
        raise ImpossibleError("no processor, with the CPU as its fall-back, runs every operator")
    alone = _alone_us(problem, placements, options)
    order = urgency(problem, alone)
    greedy = _greedy(problem, alone, options, order)
    deals = [greedy]
    if len(options) ** len(order) <= _MAX_DEALS:
        every = (dict(zip(order, deal, strict=True)) for deal in product(options, repeat=len(order)))
        deals += [deal for deal in every if deal != greedy]
    drafts = [_draft(problem, placements, order, deal) for deal in deals]
    return [min(drafts, key=lambda draft: _quality(problem, draft))]


def urgency(problem: Problem, alone_us: Sequence[dict[int, float]]) -> list[int]:
    """Order jobs so that those they wait for come first, then by slack, then the longest first."""
    left = set(range(len(problem.models)))
    order: list[int] = []

    def rank(model: int) -> tuple[float, float, float, int]:
        request = problem.models[model]
        best = min(alone_us[model].values())
        deadline = request.deadline_us if request.deadline_us is not None else float("inf")
        return (request.release_us + deadline - best, request.release_us, -best, model)

    while left:
        ready = [model for model in left if not left.intersection(problem.models[model].after)]
        chosen = min(ready, key=rank)
        order.append(chosen)
        left.remove(chosen)
    return order


def _alone_us(
    problem: Problem, placements: Sequence[list[int] | None], options: Sequence[int]
) -> list[dict[int, float]]:
    """Compute time of each job on each processor."""
    table: list[dict[int, float]] = [dict.fromkeys(options, 0.0) for _ in problem.models]
    for place in options:
        placement = placements[place]
        assert placement is not None  # only such places are options
        for kernel in problem.kernels:
            table[kernel.model][place] += float(problem.costs.full[kernel.index, placement[kernel.index]])
    return table


def _greedy(
    problem: Problem, alone_us: Sequence[dict[int, float]], options: Sequence[int], order: Sequence[int]
) -> dict[int, int]:
    free = [0.0] * len(problem.processors)
    end: dict[int, float] = {}
    deal = {}
    for model in order:
        request = problem.models[model]
        ready = max([request.release_us, *(end[other] for other in request.after)])
        best = min(options, key=lambda place: (max(free[place], ready) + alone_us[model][place], place))
        end[model] = max(free[best], ready) + alone_us[model][best]
        for place in range(len(free)):
            if problem.shares[best, place]:
                free[place] = max(free[place], end[model])
        deal[model] = best
    return deal


def _draft(
    problem: Problem, placements: Sequence[list[int] | None], order: Sequence[int], deal: dict[int, int]
) -> Draft:
    """Run the jobs in order, each kernel by kernel on its processor."""
    works: list[Work] = []
    for model in order:
        placement = placements[deal[model]]
        assert placement is not None  # only processors with a placement are dealt
        members = [kernel.index for kernel in problem.kernels if kernel.model == model]
        base = len(works)
        for work in sequential(problem, placement, members).works:
            after = tuple(base + place for place in work.after)
            works.append(Work(work.kernels, work.processor, after=after))
    return Draft(tuple(works))


def _quality(problem: Problem, draft: Draft) -> tuple[float, float, int]:
    timeline = laid_out(problem, draft)
    late = 0.0
    for model, request in enumerate(problem.models):
        if request.deadline_us is None:
            continue
        end = max(
            timeline.end_us[place]
            for place, work in enumerate(draft.works)
            if problem.kernels[work.kernels[0]].model == model
        )
        late += max(0.0, end - request.release_us - request.deadline_us)
    return (late, timeline.latency_us, len(draft.works))


STRATEGY = Strategy("task", Granularity.TASK, propose)
