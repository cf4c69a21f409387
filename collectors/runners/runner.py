"""The contract of an engine that times models on one processor."""

from dataclasses import dataclass
from typing import Protocol

from collectors.measurement import ModelIdentity
from collectors.models import ModelFile
from predictors.graph import Operator


@dataclass(frozen=True, slots=True)
class RunProfile:
    """What one profiled run executed: kernels in order with their latencies."""

    kernels: tuple[Operator, ...]
    latency_us: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One run as a whole; `first` marks the first one of a freshly made session."""

    total_us: float
    first: bool


class LoadedModel(Protocol):
    """A model in memory, ready to run on the core that the calling thread is pinned to."""

    identity: ModelIdentity
    framework: str

    def prepare(self, *, profiled: bool) -> None:
        """Make the session that such runs need, unless it is there already."""

    def run(self, *, profiled: bool) -> TimedRun:
        """Run once and time it around the engine's own call."""

    def collect(self) -> list[RunProfile]:
        """Return the profiles of all profiled runs since the last call, oldest first."""

    def close(self) -> None:
        """Free the sessions and remove every file."""


class Runner(Protocol):
    """An engine: names itself as the wire's `framework` and loads models."""

    framework: str

    def load(self, model: ModelFile) -> LoadedModel:
        """Load a model.

        Raises:
            ModelError: the engine cannot run it.

        """
