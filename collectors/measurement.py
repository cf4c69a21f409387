"""What an agent measured, before it is put on the wire."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from predictors.graph import Operator

ContextFields = Mapping[str, float | bool]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model file by name and `sha256:` digest of its bytes."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One finished run.

    `kernels` and `latency_us` are of equal length, in execution order, and empty for a run that was timed
    as a whole. `started_at_us` is the true start; everything in `context` was read before it.
    """

    started_at_us: int
    processor: str
    framework: str
    model: ModelIdentity
    context: ContextFields
    total_us: float
    profiled: bool
    kernels: tuple[Operator, ...] = ()
    latency_us: tuple[float, ...] = ()
    condition: str | None = None
    calibration: bool = False
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class TransferMeasurement:
    """One hand-over of a tensor from one processor to another."""

    started_at_us: int
    source: str
    target: str
    size_bytes: int
    latency_us: float
    context: ContextFields
    transfer_id: str = field(default_factory=lambda: str(uuid.uuid4()))
