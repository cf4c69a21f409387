"""What is known of a processor, in the words of the coverage report.

An operator is `measured` where this very operator was timed, `learned` where only others of its type were,
and a `fallback` where its type never was: then its family, or bytes and shapes alone, must do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.services.shelf import Serving
from app.store.names import ModelName
from predictors.explain import ProfileNext
from predictors.run import PredictorKey

MEASURED, LEARNED, FALLBACK = "measured", "learned", "fallback"
KNOWLEDGE = (MEASURED, LEARNED, FALLBACK)


@dataclass(frozen=True, slots=True)
class Thin:
    """A place with too little data: a `processor`, a `model`, an `op_type` or `intervals`."""

    what: str
    name: str
    because: str
    advice: str


@dataclass(frozen=True, slots=True)
class OperatorType:
    """What is known of one type on one processor: `operators` kernels of it in the models that run there.

    `samples` are its scored timings, `time_share` (0 to 1) its part of the models' predicted calm time.
    """

    op_type: str
    knowledge: str
    operators: int
    samples: int
    time_share: float


@dataclass(frozen=True, slots=True)
class ModelCoverage:
    """What is known of one model: shares (0 to 1) by knowledge, of its operators and of its calm time.

    `calm_profile` says whether calm runs of this very model were measured; `mapping` where its kernels are
    known from, `unknown` for a model that was only timed as a whole.
    """

    model: ModelName
    runs: int
    calm_profile: bool
    mapping: str
    operator_shares: Mapping[str, float]
    time_shares: Mapping[str, float]
    op_types: Sequence[OperatorType] = ()


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often the runtime predictor's 90 % interval held, on how many runs, and its relative width."""

    level: float
    n: int
    coverage: float | None
    width: float | None


@dataclass(frozen=True, slots=True)
class ProcessorCoverage:
    """What the predictor of one processor knows; `serving` is None where there is none yet."""

    key: PredictorKey
    serving: Serving | None
    models: Sequence[ModelCoverage] = ()
    op_types: Sequence[OperatorType] = ()
    operator_shares: Mapping[str, float] = field(default_factory=dict)
    time_shares: Mapping[str, float] = field(default_factory=dict)
    intervals: Intervals = Intervals(0.9, 0, None, None)
    thin: Sequence[Thin] = ()
    profile_next: Sequence[ProfileNext] = ()
