"""What `GET /v1/devices` and `GET /v1/runs` answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class ProcessorOut(BaseModel):
    """A processor of a device."""

    name: str
    kind: str
    threads: int | None
    resources: list[str]
    unsupported: list[str]


class DeviceOut(BaseModel):
    """A device with exact counts of what is stored, and its newest context."""

    device_id: str
    model: str
    soc: str
    os: str
    drivers: dict[str, str]
    processors: list[ProcessorOut]
    runs: int
    timings: int
    last_seen: datetime
    context: dict[str, Any] | None
    quarantined: bool


class DevicePage(BaseModel):
    """Devices in order of their ids; `next` is the cursor of the following page."""

    items: list[DeviceOut]
    next: str | None


class ModelOut(BaseModel):
    """What ran."""

    name: str
    digest: str | None


class OperatorOut(BaseModel):
    """An operator as it was sent."""

    op_type: str
    inputs: list[list[int]]
    outputs: list[list[int]]
    dtype: str
    attributes: dict[str, Any]


class RunOut(BaseModel):
    """A stored run; the last three fields come with `include=timings`."""

    run_id: UUID
    device_id: str
    processor: str
    framework: str
    model: ModelOut
    started_at: datetime
    condition: str | None
    context: dict[str, Any]
    profiled: bool
    calibration: bool
    total_us: float
    energy_mj: float | None
    inclusion_probability: float
    operators: list[OperatorOut] | None = None
    latency_us: list[float] | None = None
    ran_on: list[str] | None = None


class RunPage(BaseModel):
    """Runs, newest start first; `next` is the cursor of the following page."""

    items: list[RunOut]
    next: str | None
