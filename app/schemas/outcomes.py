"""The wire types of `POST /v1/plans/{plan_id}/outcomes`, version 1."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Raw, Struct

from app.schemas.measurements import Context, ContextFields, Latency, Name, Rejection, Timestamp

Propensity = Annotated[float, Meta(gt=0, le=1, description="chance with which this plan was chosen")]


class Stage(Struct, kw_only=True):
    """When a stage of the plan really ran, in microseconds after the execution's start.

    `waited_us` is how long its processor stood idle before it.
    """

    id: Annotated[int, Meta(ge=0)]
    processor: Name
    start_us: Latency
    end_us: Latency
    waited_us: Latency | None = None


class _OutcomeFields(Struct, kw_only=True):
    outcome_id: UUID
    started_at: Timestamp
    latency_us: Latency
    propensity: Propensity | None = None
    alternatives: Annotated[list[Name], Meta(max_length=1000)] = []
    stages: list[Stage] = []
    draw: Annotated[Name, Meta(description="seed with which the plan was drawn")] | None = None
    device_id: Name | None = None
    condition: Annotated[str, Meta(max_length=100)] | None = None
    episode: Annotated[Name, Meta(description="outcomes that were interleaved share one")] | None = None
    chosen_by: Annotated[
        list[Name], Meta(max_length=20, description="predictors that put this plan first")
    ] = []


class Outcome(_OutcomeFields, kw_only=True):
    """One measured execution of a plan."""

    context: Context | None = None


class OutcomeDecoded(_OutcomeFields, kw_only=True):
    """An outcome as the server decodes it."""

    context: ContextFields | None = None


class OutcomeBatch(Struct):
    """Measured executions of one plan."""

    outcomes: list[Outcome]


class OutcomeEnvelope(Struct):
    """A batch of outcomes that are not decoded yet."""

    outcomes: list[Raw]


class OutcomeCounts(Struct):
    """How many of each."""

    outcomes: int = 0
    stages: int = 0


class DuplicateOutcomes(Struct):
    """How many were stored before."""

    outcomes: int = 0


class OutcomeReceipt(Struct):
    """The answer, given after the commit; `clamped` counts shares of contexts outside 0 to 1."""

    plan_id: str
    accepted: OutcomeCounts
    duplicates: DuplicateOutcomes
    rejected: list[Rejection]
    clamped: int = 0
