"""The timeline that a draft is judged by."""

from dataclasses import replace

from app.planning.contention import contended
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.timeline import Timeline, simulate


def laid_out(problem: Problem, draft: Draft) -> Timeline:
    """Return a draft's timeline with contention, worked out once for all drafts with the same works."""
    key = (draft.works, draft.scale)
    known = problem.timelines.get(key)
    if known is None:
        known = problem.timelines[key] = contended(problem, simulate(problem, draft))
    return known if known.draft is draft else replace(known, draft=draft)
