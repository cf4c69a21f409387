"""The wire types of `POST /v1/measurements`, version 1.

`MeasurementBatch` is the whole contract (the published JSON Schema comes from it). The server decodes an
`Envelope` first and then each run, transfer and operator by itself, so that one fault rejects one run.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

MAX_LATENCY_US = 1e9
"""A thousand seconds: anything longer is a broken clock, not an operator."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Digest = Annotated[str, Meta(pattern=r"^sha256:\S+$", max_length=200)]
Dimension = Annotated[int, Meta(ge=0)]
Latency = Annotated[float, Meta(ge=0, le=MAX_LATENCY_US)]
Index = Annotated[int, Meta(ge=0)]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339")]
Fraction = Annotated[float, Meta(description="a share from 0 to 1; values outside are clamped and counted")]
Attribute = bool | int | float | str | list[bool | int | float | str]


class Agent(Struct):
    """Who sends."""

    name: Annotated[str, Meta(max_length=200)] = ""
    version: Annotated[str, Meta(max_length=200)] = ""


class Processor(Struct):
    """A schedulable unit of a SoC."""

    name: Name
    kind: Annotated[str, Meta(max_length=50)] = ""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    resources: list[Name] | None = None
    unsupported: list[Name] = []


class Device(Struct):
    """One phone or board."""

    device_id: Name
    model: Annotated[str, Meta(max_length=200)] = ""
    soc: Annotated[str, Meta(max_length=200)] = ""
    os: Annotated[str, Meta(max_length=200)] = ""
    drivers: dict[str, str] = {}
    processors: list[Processor] = []


class Operator(Struct):
    """An operator or kernel: its type, shapes (empty when unknown), data type and attributes."""

    op_type: Name
    inputs: list[list[Dimension]] = []
    outputs: list[list[Dimension]] = []
    dtype: Annotated[str, Meta(max_length=50)] = "float32"
    attributes: dict[str, Attribute] = {}


class Model(Struct):
    """What ran; the digest is that of the model file's bytes."""

    name: Name
    digest: Digest | None = None


class Context(Struct, omit_defaults=True):
    """What was read just before a run started; every field is optional, other numeric fields are kept."""

    temperature_c: float | UnsetType = UNSET
    frequency_mhz: float | UnsetType = UNSET
    processor_utilization: Fraction | UnsetType = UNSET
    cpu_utilization: Fraction | UnsetType = UNSET
    run_queue: float | UnsetType = UNSET
    cpu_pressure: Fraction | UnsetType = UNSET
    memory_pressure: Fraction | UnsetType = UNSET
    context_switches_per_s: float | UnsetType = UNSET
    co_running: float | UnsetType = UNSET
    cache_miss_rate: Fraction | UnsetType = UNSET
    memory_available_bytes: float | UnsetType = UNSET
    probe_compute_us: float | UnsetType = UNSET
    probe_memory_us: float | UnsetType = UNSET
    battery_fraction: Fraction | UnsetType = UNSET
    charging: bool | UnsetType = UNSET
    thermal_status: float | UnsetType = UNSET
    screen_on: bool | UnsetType = UNSET
    idle_before_us: float | UnsetType = UNSET
    first_run: bool | UnsetType = UNSET


SHARES = (
    "processor_utilization",
    "cpu_utilization",
    "cpu_pressure",
    "memory_pressure",
    "cache_miss_rate",
    "battery_fraction",
)
"""The context fields that are shares from 0 to 1."""

ContextFields = Annotated[dict[str, bool | float | None], Meta(max_length=200)]
"""A context as decoded: known and unknown fields alike; null is a missing value."""


class _RunFields(Struct, kw_only=True):
    run_id: UUID
    started_at: Timestamp
    processor: Name
    framework: Name
    model: Model
    condition: Annotated[str, Meta(max_length=100)] | None = None
    total_us: Latency
    energy_mj: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    profiled: bool = True
    calibration: bool = False
    inclusion_probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    operators: list[Index] = []
    latency_us: list[Latency] = []
    ran_on: list[Name] | None = None


class Run(_RunFields, kw_only=True):
    """One inference on one processor; `operators` are indexes into the batch's, in execution order."""

    context: Context | None = None


class RunDecoded(_RunFields, kw_only=True):
    """A run as the server decodes it."""

    context: ContextFields | None = None


class _TransferFields(Struct, kw_only=True):
    transfer_id: UUID
    started_at: Timestamp
    source: Name
    target: Name
    size_bytes: Annotated[int, Meta(ge=0, le=2**62)]
    latency_us: Latency


class Transfer(_TransferFields, kw_only=True):
    """One copy of a tensor from one processor's memory to another's."""

    context: Context | None = None


class TransferDecoded(_TransferFields, kw_only=True):
    """A transfer as the server decodes it."""

    context: ContextFields | None = None


class MeasurementBatch(Struct):
    """One batch of measurements of one device."""

    batch_id: Name
    device: Device
    agent: Agent = msgspec.field(default_factory=Agent)
    operators: list[Operator] = []
    runs: list[Run] = []
    transfers: list[Transfer] = []


class Envelope(Struct):
    """A batch whose parts are not decoded yet."""

    batch_id: Name
    device: Raw
    agent: Agent = msgspec.field(default_factory=Agent)
    operators: list[Raw] = []
    runs: list[Raw] = []
    transfers: list[Raw] = []


class Counts(Struct):
    """How many of each."""

    runs: int = 0
    timings: int = 0
    transfers: int = 0


class Rejection(Struct):
    """Where a fault is (JSON pointer into the batch) and what is wrong."""

    pointer: str
    detail: str


class MeasurementReceipt(Struct):
    """The answer, given after the commit."""

    batch_id: str
    accepted: Counts
    duplicates: Counts
    rejected: list[Rejection]
    clamped: int = 0
