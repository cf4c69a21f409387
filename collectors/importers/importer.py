"""What an importer is: a file of some format in, measurement batches out."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Protocol

import msgspec

from collectors.errors import CollectorError
from predictors.graph import Operator

RUNS_A_BATCH = 50


class UnreadableFileError(CollectorError):
    """The file is not of the format that was named."""


class MissingOriginError(CollectorError):
    """The format does not tell everything that a measurement must say; give it as an option."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the measurements of a file come from, as far as the file does not tell itself.

    `started_at` is the start of the first run; without it the file's time of change is taken for its end.
    """

    device_id: str | None = None
    soc: str | None = None
    processor: str | None = None
    framework: str | None = None
    model: str | None = None
    digest: str | None = None
    condition: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One run of a file: when it started relative to the first, its kernels and their latencies."""

    offset_us: float
    total_us: float
    kernels: tuple[Operator, ...] = ()
    latency_us: tuple[float, ...] = ()


class Importer(Protocol):
    """Reads one format."""

    format: str
    description: str

    def batches(self, path: Path, origin: Origin) -> Iterator[bytes]:
        """Yield batch bodies; the same file gives the same run ids, so that importing twice counts once.

        Raises `UnreadableFileError` or `MissingOriginError`.
        """


def batches_of(runs: Iterable[ImportedRun], path: Path, origin: Origin, framework: str) -> Iterator[bytes]:
    """Yield the batches of one model's runs on one processor; `framework` serves unless the origin names one.

    Raises `MissingOriginError`.
    """
    for name in ("device_id", "processor", "model"):
        if getattr(origin, name) is None:
            option = {"device_id": "--device"}.get(name, f"--{name}")
            raise MissingOriginError(f"The file does not tell the {option[2:]}: give {option}.")
    known = list(runs)
    length_us = known[-1].offset_us + known[-1].total_us if known else 0.0
    changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    first = origin.started_at or changed_at - timedelta(microseconds=length_us)
    identity = hashlib.sha256(path.read_bytes()).hexdigest() + f"{origin.device_id} {origin.processor}"
    numbers = count()
    for start in range(0, len(known), RUNS_A_BATCH):
        operators: dict[Operator, int] = {}
        wired = [
            {
                "run_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identity} {next(numbers)}")),
                "started_at": (first + timedelta(microseconds=run.offset_us)).isoformat(),
                "processor": origin.processor,
                "framework": origin.framework or framework,
                "model": {"name": origin.model, "digest": origin.digest},
                "condition": origin.condition,
                "total_us": run.total_us,
                "profiled": bool(run.kernels),
                "operators": [operators.setdefault(kernel, len(operators)) for kernel in run.kernels],
                "latency_us": run.latency_us,
            }
            for run in known[start : start + RUNS_A_BATCH]
        ]
        yield msgspec.json.encode(
            {
                "batch_id": str(uuid.uuid4()),
                "device": {"device_id": origin.device_id, "soc": origin.soc or ""},
                "operators": [operator.to_json() for operator in operators],
                "runs": wired,
            }
        )
