"""The learner contract: very few methods, shared by every rung and every published baseline.

A learner predicts whole runs (and their operators where known) of one predictor key and many devices. It is
found by being in `predictors.baselines` or one of our rungs, and every property in `predictors.checks`
holds for it.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from predictors.run import Run, RunQuery


@dataclass(frozen=True, slots=True)
class Prediction:
    """A point estimate of a run's latency and of each of its operators, shape (n_operators,)."""

    total_us: float
    operators_us: NDArray[np.float64]


class Learner(Protocol):
    """Predicts before it learns. Methods never raise on legal input, however odd."""

    name: ClassVar[str]

    def fit(self, runs: Sequence[Run]) -> None:
        """Learn calm runs, in order; called once, before anything else, possibly with no run."""

    def predict(self, query: RunQuery) -> Prediction:
        """Return finite, non-negative latencies; changes nothing."""

    def learn(self, run: Run) -> None:
        """Take one finished run in, in bounded time and memory."""

    def to_bytes(self) -> bytes:
        """Return the learner as data, never a pickle; the copy predicts exactly the same."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a learner from its bytes."""


def learners() -> list[type[Learner]]:
    """Return every learner: the published baselines and our own rungs."""
    rungs: tuple[type[Learner], ...] = importlib.import_module("predictors.rung_learner").RUNGS
    return [*baselines(), *rungs]


def baselines() -> list[type[Learner]]:
    """Return every published baseline: what each module of `predictors.baselines` calls `LEARNER`."""
    package = importlib.import_module("predictors.baselines")
    modules = sorted(
        info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")
    )
    found = [importlib.import_module(f"predictors.baselines.{name}") for name in modules]
    return [module.LEARNER for module in found]
