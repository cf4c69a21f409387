"""Wire types of what a plan's answer rests on beyond predictors: choice, learned costs, operator support."""

from typing import Literal

from pydantic import BaseModel


class ChosenOut(BaseModel):
    """The plan to run, and the chance with which it was chosen among `alternatives` (itself included).

    Where exploring was asked for, `seed` and `share` repeat the draw; `explored` tells whether it was random.
    """

    plan_id: str
    propensity: float
    alternatives: list[str]
    explored: bool
    share: float | None
    seed: str | None


class TransferOut(BaseModel):
    """What a hand-over costs: a start and a rate, `conversion_us_per_byte` included.

    `basis` says whether it was learned from `n` hand-overs of this pair, from `n` between processors of the
    same kinds (`alike`), or is the documented default.
    """

    source: str
    target: str
    latency_us: float
    us_per_byte: float
    conversion_us_per_byte: float
    basis: Literal["default", "alike", "learned"]
    n: int


class ContentionOut(BaseModel):
    """How work on another processor slows a stage: by a share, and by what both sides move."""

    beside: float
    per_demand: float


class StageCostsOut(BaseModel):
    """What a stage costs beyond its kernels, learned from `n` executed ones (0: the documented defaults).

    `factor` scales the kernels' predicted latencies, `contention` is by the processor beside.
    """

    dispatch_us: float
    factor: float
    contention: dict[str, ContentionOut]
    n: int


class SupportOut(BaseModel):
    """Operator types that a processor does not run: as the request says, or as declared and `learned`.

    `learned` holds the types that mostly ran elsewhere, with how many told where they ran.
    """

    unsupported: list[str]
    basis: Literal["request", "declared"]
    learned: dict[str, int]
