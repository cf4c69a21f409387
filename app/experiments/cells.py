"""One cell of an experiment: a condition, a model, what each predictor chose, and what that took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.experiments.interleaved import Contender
from app.planning.plan import Plan
from predictors.forecast import Rung

CHOOSERS = (Rung.RUNTIME, Rung.CONTEXT_FROZEN, Rung.CALM)
"""Whose first plan is executed; what they expect of it was said before."""


@dataclass(frozen=True)
class Measured:
    """A distinct partition that was executed in a cell.

    `predicted_us` holds what each predictor that proposed it expects; `chosen_by` those that put it first;
    `novel` says that it had never been executed before.
    """

    plan_id: str
    strategies: tuple[str, ...]
    granularity: str
    processors: tuple[str, ...]
    predicted_us: Mapping[str, float]
    chosen_by: tuple[str, ...]
    novel: bool
    latency_us: tuple[float, ...]
    started_at_us: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """Partitions of one model executed in turn in one condition; `load` says what was done to the machine."""

    number: int
    condition: str
    model: str
    processor: str
    load: str
    measured: tuple[Measured, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Cell":
        """Read a cell that `msgspec.to_builtins` wrote."""
        return msgspec.convert(content, cls)

    def chosen(self, rung: Rung) -> Measured | None:
        """Return what a predictor chose, None where that could not be executed."""
        return next((item for item in self.measured if rung.value in item.chosen_by), None)

    def rows(self) -> list[dict[str, object]]:
        """Return one row for every single execution."""
        return [
            {
                "cell": self.number,
                "condition": self.condition,
                "loaded": self.processor,
                "load": self.load,
                "model": self.model,
                "round": place,
                "started_at_us": item.started_at_us[place],
                "plan_id": item.plan_id,
                "strategies": " ".join(item.strategies),
                "granularity": item.granularity,
                "processors": " ".join(item.processors),
                "chosen_by": " ".join(item.chosen_by),
                "novel": item.novel,
                **{f"predicted_{rung.value}_us": item.predicted_us.get(rung.value) for rung in CHOOSERS},
                "measured_us": latency_us,
            }
            for item in self.measured
            for place, latency_us in enumerate(item.latency_us)
        ]


def processors_of(plan: Plan) -> tuple[str, ...]:
    """Return the processors that a plan uses."""
    return tuple(sorted({stage.processor for stage in plan.stages}))


def shortlisted(
    proposals: Mapping[Rung, Sequence[Plan]], contenders: Sequence[Contender], seconds: float, rounds: int
) -> tuple[list[Contender], int]:
    """Return what fits into the time, and how many of it were chosen: these come first.

    Then come the single processors, then the best ranked.
    """
    chosen = {choice.plan_id for rung in CHOOSERS if (choice := first(proposals[rung])) is not None}
    left_us = seconds * 1e6
    kept = []
    needed = 0
    for contender in sorted(contenders, key=lambda item: _rank(item, chosen)):
        needed_us = BUILD_US + rounds * contender.plan.latency_us.mean
        wanted = _rank(contender, chosen)[0] == 0
        if wanted or left_us >= needed_us:
            kept.append(contender)
            left_us -= needed_us
            needed += wanted
    return kept, needed


BUILD_US = 400_000.0
"""What making the sessions of a plan takes, roughly."""


def first(plans: Sequence[Plan]) -> Plan | None:
    """Return the best plan that keeps the model."""
    return next((plan for plan in plans if not plan.requires_retraining), None)


def _rank(contender: Contender, chosen: set[str]) -> tuple[int, float]:
    wanted = any(plan.plan_id in chosen for plan in contender.plans)
    single = len(processors_of(contender.plan)) == 1 and len(contender.plan.stages) == 1
    return 0 if wanted else 1 if single else 2, min(plan.latency_us.mean for plan in contender.plans)
