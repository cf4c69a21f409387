"""Runs: what is known of one inference before it starts, and what was measured when it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.graph import Operator

Context = Mapping[str, float]
"""Numeric context read before a run starts (names carry units); a missing sensor is a missing key."""


@dataclass(frozen=True, slots=True)
class PredictorKey:
    """What one predictor is fitted for: a processor of a SoC under a framework (name without version)."""

    soc: str
    processor: str
    framework: str

    def __str__(self) -> str:
        return f"{self.soc}/{self.processor}/{self.framework}"


@dataclass(frozen=True, slots=True)
class RunQuery:
    """A run the moment before it starts: all that a prediction may use.

    `model` is the model's digest, or its name where no digest is known. `operators` are the kernels in
    execution order, empty where only the whole run can be timed. `condition` is an experiment's label: no
    predictor but the `per_condition` rung may read it. `software` holds versions by name: the operating
    system (`os`) and drivers.
    """

    key: PredictorKey
    device_id: str
    model: str
    started_at_us: int
    operators: tuple[Operator, ...]
    context: Context
    profiled: bool = True
    calibration: bool = False
    condition: str | None = None
    framework_version: str = ""
    software: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its query and what was measured.

    `total_us` is the whole run's latency; `latency_us` holds one latency per operator (float64, shape
    (n_operators,), empty when operators could not be timed). `fell_back` holds the positions of operators
    that ran on another processor than the run's, which is known only once it has ended.
    """

    run_id: str
    query: RunQuery
    total_us: float
    latency_us: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    fell_back: frozenset[int] = frozenset()

    @property
    def ended_at_us(self) -> int:
        """End of the run in microseconds since the epoch."""
        return self.query.started_at_us + int(self.total_us)


def framework_name_and_version(framework: str) -> tuple[str, str]:
    """Split `onnxruntime 1.31.1` into name and version; the version is empty where none is written."""
    name, _, version = framework.strip().rpartition(" ")
    return (name.strip(), version) if name and version[:1].isdigit() else (framework.strip(), "")
