"""A batch of measurements as the store takes it: checked records, and timings as number columns."""

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictors.graph import Operator


class ProcessorRecord(NamedTuple):
    """A processor of a device; `resources` and `unsupported` are JSON lists of names."""

    name: str
    kind: str
    threads: int | None
    resources: str
    unsupported: str

    @classmethod
    def declared(
        cls,
        name: str,
        kind: str,
        threads: int | None,
        resources: Sequence[str] | None,
        unsupported: Sequence[str],
    ) -> "ProcessorRecord":
        """Return the processor as its device describes it, missing parts read from its name."""
        guess = cls.named(name)
        return cls(
            name,
            kind or guess.kind,
            threads if threads is not None else guess.threads,
            guess.resources if resources is None else json.dumps(sorted(set(resources))),
            json.dumps(sorted(set(unsupported))),
        )

    @classmethod
    def named(cls, name: str) -> "ProcessorRecord":
        """Return what a bare name says: `cpu-big-4` is of kind `cpu`, 4 threads, on resource `cpu-big`."""
        trailing = re.fullmatch(r"(.+)-(\d{1,4})", name)
        threads = int(trailing[2]) if trailing and int(trailing[2]) > 0 else None
        resource = trailing[1] if trailing else name
        kind = re.split(r"[:\-_ ]", name.lower(), maxsplit=1)[0] or name
        return cls(name, kind, threads, json.dumps([resource]), "[]")


class DeviceRecord(NamedTuple):
    """A device as it describes itself; `drivers` is a JSON object."""

    device_id: str
    model: str
    soc: str
    os: str
    drivers: str
    processors: tuple[ProcessorRecord, ...]


class RunRecord(NamedTuple):
    """A run; `length` counts its operators, `ran_on` lists (position, place) where not on `processor`.

    `ran_on` is None for a run that did not tell where its operators ran.
    """

    run_uuid: uuid.UUID
    started_at_us: int
    processor: str
    framework: str
    model_name: str
    model_digest: str
    condition: str | None
    context: str
    profiled: bool
    calibration: bool
    total_ns: int
    energy_mj: float | None
    inclusion_probability: float | None
    length: int
    ran_on: list[tuple[int, str]] | None


class TransferRecord(NamedTuple):
    """One copy between two processors."""

    transfer_uuid: uuid.UUID
    started_at_us: int
    source: str
    target: str
    size_bytes: int
    latency_ns: int
    context: str


def _no_timings() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Batch:
    """All that one request measured on one device.

    `operator_index` (into `operators`) and `latency_ns` hold the timings of all runs one after another,
    shape (sum of the runs' lengths,). An operator is None when it was faulty; no run refers to it.
    """

    batch_id: str
    device: DeviceRecord
    operators: list[Operator | None] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)
    transfers: list[TransferRecord] = field(default_factory=list)
    operator_index: NDArray[np.int64] = field(default_factory=_no_timings)
    latency_ns: NDArray[np.int64] = field(default_factory=_no_timings)
    clamped: int = 0

    def fell_back(self, record: RunRecord) -> frozenset[int]:
        """Return the positions of a run's operators that ran on another processor, as far as it told."""
        name = record.processor
        declared = (place.kind for place in self.device.processors if place.name == name)
        return elsewhere(record.ran_on or (), name, next(declared, ProcessorRecord.named(name).kind))


@dataclass(slots=True)
class Stored:
    """What became of a batch: newly stored, and known before."""

    runs: int = 0
    timings: int = 0
    transfers: int = 0
    duplicate_runs: int = 0
    duplicate_transfers: int = 0


def elsewhere(ran_on: Iterable[tuple[int, str]], processor: str, kind: str) -> frozenset[int]:
    """Return which (position, place) are no name of the run's own processor: its kind (`gpu`) is one too."""
    return frozenset(position for position, place in ran_on if place not in (processor, kind))


def context_values(text: str) -> dict[str, float]:
    """Return a stored context as numbers: true is 1, false is 0."""
    return {name: float(value) for name, value in json.loads(text).items()}


def soc_name(soc: str, device_id: str) -> str:
    """Return the SoC that predictors are keyed by; a device that does not tell is a SoC of its own."""
    return soc or device_id
