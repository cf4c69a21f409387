"""What one execution of a plan was: outputs, latency, stages, and the hand-overs between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When a stage ran, in microseconds after the start of the run, and how long its thread waited for it."""

    id: int
    processor: str
    start_us: float
    end_us: float
    waited_us: float


@dataclass(frozen=True, slots=True)
class StageHandOver:
    """A stage that waited for another processor: from the end there to its own start, in microseconds."""

    source: str
    target: str
    size_bytes: int
    latency_us: float


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: each model's outputs by name, its latency, its stages, and the hand-overs between them.

    With a `fallback_reason` the whole model ran instead of the plan.
    """

    results: tuple[Outputs, ...]
    latency_us: float
    stages: tuple[StageTiming, ...]
    hand_overs: tuple[StageHandOver, ...] = ()
    fallback_reason: str | None = None

    @property
    def outputs(self) -> Outputs:
        """The first model's outputs."""
        return self.results[0]
