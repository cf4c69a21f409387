"""What planning is asked for, and what it hands back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.planning.costs import CostSource
from app.planning.plan import Plan
from app.planning.problem import ModelRequest, Processor

Objective = Literal["mean", "p50", "p90", "p99"]


@dataclass(frozen=True)
class PlanningRequest:
    """What a scheduler asks for; empty `strategies` and `granularities` mean all of them.

    `max_share` caps a processor's busy share (0 to 1) by its name. `budget_ms` buys search work.
    """

    models: Sequence[ModelRequest]
    processors: Sequence[Processor]
    costs: CostSource
    objective: Objective = "mean"
    granularities: Sequence[str] = ()
    strategies: Sequence[str] = ()
    memory_cap_bytes: float | None = None
    max_share: Mapping[str, float] = field(default_factory=dict)
    budget_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class Impossible:
    """A strategy that has no plan to offer, and why."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanningResult:
    """Plans ranked by the objective, and what could not be planned."""

    plans: tuple[Plan, ...]
    impossible: tuple[Impossible, ...]
