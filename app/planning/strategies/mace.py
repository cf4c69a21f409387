"""One processor for the whole model, unsupported operators falling back to the CPU.

As mobile frameworks do it (MACE; sub-graph granularity in arXiv 2405.01851): contiguous
unsupported operators form islands on the CPU, and each border of an island pays a copy with its change of
layout. That cost is what makes "run it on the GPU" lose on models with many islands.
"""

from collections.abc import Sequence

import numpy as np

from app.planning.effort import Effort
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.staging import sequential
from app.planning.strategy import Granularity, ImpossibleError, Strategy


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return one draft a processor that supports anything at all."""
    drafts = []
    for processor in range(len(problem.processors)):
        placement = with_fallback(problem, processor)
        if placement is not None:
            drafts.append(sequential(problem, placement))
    if not drafts:
        raise ImpossibleError("no processor, with the CPU as its fall-back, runs every operator")
    return drafts


def with_fallback(problem: Problem, processor: int) -> list[int] | None:
    """Return the placement on one processor with fall-backs, None where it cannot run the model."""
    latency = problem.costs.full
    runs = np.isfinite(latency[:, processor])
    if not runs.any():
        return None
    fallback = problem.fallback_processor
    if runs.all():
        return [processor] * len(runs)
    if fallback is None or not np.isfinite(latency[~runs, fallback]).all():
        return None
    return [processor if supported else fallback for supported in runs]


STRATEGY = Strategy("mace", Granularity.SUBGRAPH, propose, every=True)
