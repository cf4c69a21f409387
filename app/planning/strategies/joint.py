"""Placement, splits and branch parallelism searched together.

A beam search with dominance (dynamic programming wherever the graph narrows to one tensor) looks for the
plan of least mean latency; what the other strategies propose is both its upper bound and, with its own best
plans, what the simulator then ranks for the asked quantile. So it is never worse than any other strategy
that keeps the model.
"""

from collections.abc import Sequence

from app.planning.effort import Effort
from app.planning.evaluation import laid_out
from app.planning.exhaustive import Exhaustive
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.search import BeamSearch
from app.planning.strategy import Granularity, ImpossibleError, Strategy, all_strategies, proposals

_EXACT_KERNELS = 8
"""Up to so many kernels all placements and their parallel stages are searched without dropping any."""
_EXACT_WIDTH = 200
"""States kept a unit on such graphs: what they leave over is found by trying everything."""


def propose(problem: Problem, effort: Effort) -> Sequence[Draft]:
    """Return the search's best drafts and all that other strategies propose."""
    others = _others(problem, effort)
    best = min((laid_out(problem, draft).latency_us for draft in others), default=float("inf"))
    found = BeamSearch(problem, effort, splits=True, incumbent_us=best).run()
    if len(problem.kernels) <= _EXACT_KERNELS:
        best = min([best, *(laid_out(problem, draft).latency_us for draft in found)])
        found += BeamSearch(problem, effort, splits=False, incumbent_us=best).run(width=_EXACT_WIDTH)
        best = min([best, *(laid_out(problem, draft).latency_us for draft in found)])
        optimum = Exhaustive(problem, best).run()
        found += [optimum] if optimum is not None else []
    if not found and not others:
        raise ImpossibleError("no processors together run every operator")
    return [*found, *others]


def _others(problem: Problem, effort: Effort) -> list[Draft]:
    drafts: list[Draft] = []
    for strategy in all_strategies().values():
        if strategy.name == STRATEGY.name:
            continue
        try:
            proposed = proposals(strategy, problem, Effort(effort.budget_ms))
        except ImpossibleError:
            continue
        drafts += [draft for draft in proposed if not draft.requires_retraining and not draft.scale]
    return drafts


STRATEGY = Strategy("joint", Granularity.INTRA_OPERATOR, propose)
