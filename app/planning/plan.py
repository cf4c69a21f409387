"""Plans: what a strategy proposes (a draft), and what the answer says of it once it is simulated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.planning.splitting import Dimension


@dataclass(frozen=True, slots=True)
class Split:
    """The part of its kernels that a stage computes: shares `low` to `high` of a dimension of the output."""

    dimension: Dimension
    low: float
    high: float

    @property
    def length(self) -> float:
        """Share of the whole."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of a draft: kernels that one processor runs in one go.

    `kernels` are indexes into the problem's kernels in order; `after` are places of earlier works that must
    have ended, beyond those whose results it reads.
    """

    kernels: tuple[int, ...]
    processor: int
    split: Split | None = None
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A partition: works in the order in which processors take them up.

    `scale` multiplies the latency of each work's kernels (one a work, empty for none); only strategies
    that change the model use it.
    """

    works: tuple[Work, ...]
    requires_retraining: bool = False
    scale: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Mean and quantiles of a latency in microseconds."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a plan's accelerators could not run: share of operators, their names, and what that costs."""

    ratio: float
    operators: tuple[str, ...]
    cost_us: float


@dataclass(frozen=True, slots=True)
class Usage:
    """A processor's time until the plan ends, as shares: working, waiting for others, done or unused."""

    busy: float
    waiting: float
    idle: float


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a plan as answered; `operators` are names in the model file, times in microseconds.

    `compute_us` is what its kernels take alone, `moved_bytes` what they move through memory, `reads` the
    bytes that it fetches from each other processor.
    """

    id: int
    model: int
    operators: tuple[str, ...]
    processor: str
    split: Split | None
    start_us: float
    end_us: float
    after: tuple[int, ...]
    compute_us: float = 0.0
    moved_bytes: float = 0.0
    reads: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A simulated plan with everything that the answer says of it.

    `deadline_met` holds one chance a model (None for a model without a deadline); `fastest` is the chance
    that it is the fastest of the answered plans that keep the model, `tie` whether it cannot be told from
    the best one; `flips` gives, for the best plan, the slowdown of each processor that would make another
    plan the best; `note` says what a reader should know.
    """

    plan_id: str
    strategy: str
    granularity: str
    latency_us: Distribution
    offline_latency_us: float
    deadline_met: tuple[float | None, ...]
    speedup_over_best_single: float | None
    fallback: Fallback
    transfer_us: float
    peak_memory_bytes: float
    processors: Mapping[str, Usage]
    bound_us: float
    requires_retraining: bool
    stages: tuple[Stage, ...]
    mappings: tuple[str, ...] = ()
    fastest: float = 0.0
    tie: bool = False
    stopped_early: bool = False
    note: str = ""
    flips: Mapping[str, float] = field(default_factory=dict)
