"""The timeline that a draft is judged by."""

from app.planning.contention import contended
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.timeline import Timeline, simulate


def laid_out(problem: Problem, draft: Draft) -> Timeline:
    """Return a draft's timeline with contention, worked out once a problem."""
    known = problem.timelines.get(id(draft))
    if known is None or known.draft is not draft:
        known = problem.timelines[id(draft)] = contended(problem, simulate(problem, draft))
    return known
