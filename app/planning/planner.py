"""Plan: let strategies propose, simulate what they propose, rank it."""

from collections.abc import Sequence

from app.planning.description import Describer
from app.planning.effort import Effort
from app.planning.periods import unrolled
from app.planning.problem import ModelRequest, Problem
from app.planning.ranking import ranked
from app.planning.request import Impossible, PlanningRequest, PlanningResult
from app.planning.scoring import Scored, Scoring
from app.planning.strategy import Granularity, ImpossibleError, Strategy, all_strategies, proposals


def plan(request: PlanningRequest) -> PlanningResult:
    """Return the plans of all asked strategies, best first; raise `ValueError` on a request without sense."""
    wanted, impossible = _wanted(request)
    if not request.models or not request.processors:
        raise ValueError("a plan needs at least one model and one processor")
    _check_precedence(request.models)
    jobs = unrolled(request.models)
    problem = Problem(jobs.requests, request.processors, request.costs)
    missing = problem.unsupported_everywhere()
    if missing:
        reason = f"no processor supports: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}"
        return PlanningResult((), (*impossible, *(Impossible(item.name, reason) for item in wanted)))
    scoring = Scoring(problem, request)
    chosen: list[tuple[Scored, Effort]] = []
    for strategy in wanted:
        effort = Effort(request.budget_ms)
        try:
            drafts = proposals(strategy, problem, effort)
            chosen += [(item, effort) for item in scoring.choose(strategy, drafts)]
        except ImpossibleError as reason:
            impossible.append(Impossible(strategy.name, str(reason)))
    describer = Describer(problem, request, jobs)
    return PlanningResult(ranked(problem, chosen, scoring, describer), tuple(impossible))


def _wanted(request: PlanningRequest) -> tuple[list[Strategy], list[Impossible]]:
    known = all_strategies()
    unknown = [name for name in request.strategies if name not in known]
    if unknown:
        raise ValueError(f"unknown strategies {unknown}; there are: {', '.join(known)}")
    wrong = [name for name in request.granularities if name not in set(Granularity)]
    if wrong:
        raise ValueError(f"unknown granularities {wrong}; there are: {', '.join(Granularity)}")
    named = [known[name] for name in dict.fromkeys(request.strategies)] or list(known.values())
    fitting = [
        item for item in named if not request.granularities or item.granularity in request.granularities
    ]
    left_out = [
        Impossible(item.name, f"its granularity is {item.granularity}, which was not asked for")
        for item in named
        if item not in fitting and request.strategies
    ]
    return fitting, left_out


def _check_precedence(models: Sequence[ModelRequest]) -> None:
    for index, model in enumerate(models):
        if any(not 0 <= other < len(models) or other == index for other in model.after):
            raise ValueError(f"model {index} must come after models that were requested, not {model.after}")
