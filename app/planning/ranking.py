"""Rank plans, and say how each compares with the others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.planning.description import Describer
from app.planning.distribution import Floats
from app.planning.effort import Effort
from app.planning.flips import flips
from app.planning.plan import Plan
from app.planning.problem import Problem
from app.planning.scoring import Scored, Scoring


def ranked(
    problem: Problem, chosen: Sequence[tuple[Scored, Effort]], scoring: Scoring, describer: Describer
) -> tuple[Plan, ...]:
    """Return the plans in order, best first, each with how it compares with the others."""
    ordered = sorted(chosen, key=lambda pair: (*scoring.rank(pair[0]), pair[0].strategy.name))
    singles = [item.latency_us.mean for item, _ in ordered if item.strategy.name == "mace"]
    single = min(singles, default=None)
    rivals = [item for item, _ in ordered if not item.timeline.draft.requires_retraining]
    chances = _chances([item.samples_us for item in rivals])
    fastest = {id(item): chance for item, chance in zip(rivals, chances, strict=True)}
    best = rivals[0] if rivals else None
    problem.costs.predict_offline(
        {
            (index, work.split.dimension)
            for item, _ in ordered
            for work in item.timeline.draft.works
            if work.split
            for index in work.kernels
        }
    )
    turning = flips(problem, best.timeline, [item.timeline for item in rivals[1:]]) if best else {}
    plans = []
    for item, effort in ordered:
        mean = item.latency_us.mean
        plans.append(
            replace(
                describer.describe(item, effort),
                speedup_over_best_single=single / mean if single is not None and mean > 0 else None,
                fastest=fastest.get(id(item), 0.0),
                tie=best is not None and item is not best and id(item) in fastest and _tied(item, best),
                flips=turning if item is best else {},
            )
        )
    return tuple(plans)


def _chances(samples: Sequence[Floats]) -> list[float]:
    """Chance of each plan to be the fastest; plans that are equally fast in a sample share it."""
    if not samples:
        return []
    table = np.stack(samples)
    winners = table <= table.min(axis=0) * (1 + 1e-9)
    return [float(value) for value in (winners / winners.sum(axis=0)).mean(axis=1)]


def _tied(item: Scored, best: Scored) -> bool:
    """Two plans tie where neither is ahead in more than 60 % of the samples, or they differ by under 1 %."""
    difference = item.samples_us - best.samples_us
    ahead = float((difference < 0).mean() + 0.5 * (difference == 0).mean())
    close = abs(float(difference.mean())) < 0.01 * float(best.samples_us.mean())
    return close or 0.4 <= ahead <= 0.6
