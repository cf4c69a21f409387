"""Read traces: NDJSON files of measurement batches, gzip allowed, through the same door as the ingest."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from app.errors import Fault, InvalidRequestError, NotFoundError, SocastError
from app.services.prepare import prepare
from app.store.batch import Batch, RunRecord
from predictors.graph import Operator
from predictors.run import PredictorKey, Run, RunQuery, framework_name_and_version
from predictors.software import software_of

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass
class Trace:
    """A trace in memory: runs in the file's order, the names of their models, the parts left out as faulty.

    `model_names` maps what runs are keyed by (a digest, or the name itself) to the model's name. A run that
    was sent again counts once; `duplicates` says how often that was.
    """

    runs: list[Run] = field(default_factory=list)
    model_names: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    duplicates: int = 0
    _ids: set[str] = field(default_factory=set, repr=False)

    def add(self, run: Run) -> None:
        """Take in the next run, unless it is there already."""
        if run.run_id in self._ids:
            self.duplicates += 1
            return
        self._ids.add(run.run_id)
        self.runs.append(run)

    def shared_with(self, other: "Trace") -> int:
        """Return how many runs another trace has as well."""
        return len(self._ids & other._ids)

    def models_named(self, name: str) -> set[str]:
        """Return the keys of all models with that name or digest."""
        return {model for model, known in self.model_names.items() if name in (model, known)}


def read_trace(path: Path) -> Trace:
    """Read a whole trace; raise a `SocastError` that names file and line where a batch cannot be read."""
    trace = Trace()
    kernels: dict[tuple[int, ...], tuple[Operator, ...]] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            batch, faults = prepare(line)
        except SocastError as error:
            raise InvalidRequestError(f"{path}, line {number}: {error}", faults=error.faults) from error
        trace.faults += [Fault(f"line {number}: {fault.pointer}", fault.detail) for fault in faults]
        _add(trace, batch, kernels)
    return trace


def in_time(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of all devices in the order in which they started.

    Batches of several devices overlap in time. The order that a trace gives to the runs of one processor
    stays, also where its clock went back.
    """
    clocks: dict[tuple[str, PredictorKey], int] = {}
    started: list[int] = []
    for run in runs:
        query = run.query
        place = (query.device_id, query.key)
        clocks[place] = max(clocks.get(place, query.started_at_us), query.started_at_us)
        started.append(clocks[place])
    return [runs[index] for index in sorted(range(len(runs)), key=started.__getitem__)]


def _lines(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        raise NotFoundError(f"{path}: there is no such trace file.")
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path) if compressed else path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidRequestError(f"{path}: the compressed file is damaged: {error}.") from error
    except OSError as error:
        raise InvalidRequestError(f"{path}: it cannot be read: {error.strerror or error}.") from error


def _add(trace: Trace, batch: Batch, kernels: dict[tuple[int, ...], tuple[Operator, ...]]) -> None:
    start = 0
    for record in batch.runs:
        end = start + record.length
        operators = [batch.operators[index] for index in batch.operator_index[start:end]]
        latency_us = batch.latency_ns[start:end] / 1000.0
        start = end
        # The same network's kernels become one tuple object, so that caches may go by identity.
        place = tuple(map(id, operators))
        sequence = kernels.setdefault(place, tuple(op for op in operators if op is not None))
        model = record.model_digest or record.model_name
        trace.model_names[model] = record.model_name
        query = _query(record, batch, model, sequence)
        trace.add(
            Run(
                str(record.run_uuid),
                query,
                record.total_ns / 1000.0,
                latency_us.astype(np.float64),
                batch.fell_back(record),
            )
        )


def _query(record: RunRecord, batch: Batch, model: str, operators: tuple[Operator, ...]) -> RunQuery:
    name, version = framework_name_and_version(record.framework)
    context = {field: float(value) for field, value in json.loads(record.context).items()}
    return RunQuery(
        key=PredictorKey(batch.device.soc or batch.device.device_id, record.processor, name),
        device_id=batch.device.device_id,
        model=model,
        started_at_us=record.started_at_us,
        operators=operators,
        context=context,
        profiled=record.profiled,
        calibration=record.calibration,
        condition=record.condition,
        framework_version=version,
        software=software_of(batch.device.os, batch.device.drivers),
    )
