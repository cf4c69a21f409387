"""Explore now and then: run another plan than the best, by a draw that anybody can repeat."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Exploring:
    """What a scheduler asks: to explore in a `share` (0 to 1) of its requests, drawn by a `seed`."""

    share: float
    seed: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan to run: the best one, or one drawn at random.

    `propensity` is the chance with which it was chosen among `alternatives` (itself included); `seed` and
    `share` are None where nobody asked to explore.
    """

    plan_id: str
    propensity: float
    alternatives: tuple[str, ...]
    explored: bool = False
    share: float | None = None
    seed: str | None = None


def choose(ranked: Sequence[Plan], exploring: Exploring | None) -> Choice | None:
    """Choose among the plans that keep the model, the best first; None where there is none.

    In a `share` of requests every candidate is drawn with the same chance, the best one too. Both draws are
    the first 128 bits of the seed's SHA-256, so that the same seed on the same plans chooses the same one.
    """
    candidates = tuple(dict.fromkeys(plan.plan_id for plan in ranked if not plan.requires_retraining))
    if not candidates:
        return None
    if exploring is None:
        return Choice(candidates[0], 1.0, candidates)
    seed = exploring.seed if exploring.seed is not None else uuid.uuid4().hex
    digest = hashlib.sha256(seed.encode()).digest()
    whether, which = (int.from_bytes(digest[place : place + 8]) / 2**64 for place in (0, 8))
    explored = whether < exploring.share
    drawn = candidates[int(which * len(candidates))] if explored else candidates[0]
    chance = exploring.share / len(candidates)
    propensity = chance + (1.0 - exploring.share if drawn == candidates[0] else 0.0)
    return Choice(drawn, propensity, candidates, explored, exploring.share, seed)
