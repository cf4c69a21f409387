"""Turn the body of a batch into columns ready to be stored, rejecting faulty parts one by one."""

from functools import lru_cache

import msgspec
import numpy as np

from app.errors import Fault, InvalidRequestError
from app.schemas import measurements as wire
from app.services.decoding import context_text, decode_envelope, decode_part, fault_of
from app.services.operators import decode_operator
from app.services.times import unix_us
from app.store.batch import Batch, DeviceRecord, ProcessorRecord, RunRecord, TransferRecord

_envelopes = msgspec.json.Decoder(wire.Envelope)
_devices = msgspec.json.Decoder(wire.Device)
_runs = msgspec.json.Decoder(wire.RunDecoded)
_transfers = msgspec.json.Decoder(wire.TransferDecoded)
_sorted = msgspec.json.Encoder(order="sorted")

KNOWN_DEVICES = 1_000
"""Descriptions of devices that are kept decoded: a device describes itself in the same words each time."""


def prepare(body: bytes) -> tuple[Batch, list[Fault]]:
    """Decode and check one batch; return what can be stored and the faults of what cannot.

    Raises `MalformedBodyError` when the body is no JSON, `InvalidRequestError` when the batch or its device
    is faulty as a whole.
    """
    envelope = decode_envelope(_envelopes.decode, body)
    faults: list[Fault] = []
    batch = Batch(envelope.batch_id, _device(bytes(envelope.device)))
    _add_operators(batch, envelope.operators, faults)
    _add_runs(batch, envelope.runs, faults)
    _add_transfers(batch, envelope.transfers, faults)
    return batch, faults


@lru_cache(maxsize=KNOWN_DEVICES)
def _device(raw: bytes) -> DeviceRecord:
    try:
        device = _devices.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(faults=(fault_of("/device", error),)) from error
    return DeviceRecord(
        device_id=device.device_id,
        model=device.model,
        soc=device.soc,
        os=device.os,
        drivers=_sorted.encode(device.drivers).decode(),
        processors=tuple(
            ProcessorRecord.declared(p.name, p.kind, p.threads, p.resources, p.unsupported)
            for p in device.processors
        ),
    )


def _add_operators(batch: Batch, raws: list[msgspec.Raw], faults: list[Fault]) -> None:
    for index, raw in enumerate(raws):
        batch.operators.append(decode_part(decode_operator, raw, f"/operators/{index}", faults))


def _add_runs(batch: Batch, raws: list[msgspec.Raw], faults: list[Fault]) -> None:
    operators = batch.operators
    broken = {index for index, operator in enumerate(operators) if operator is None}
    operator_index: list[int] = []
    latency_us: list[float] = []
    for index, raw in enumerate(raws):
        run = decode_part(_runs.decode, raw, f"/runs/{index}", faults)
        if run is None:
            continue
        fault = _inconsistency(run, len(operators), broken)
        if fault is not None:
            faults.append(Fault(f"/runs/{index}{fault.pointer}", fault.detail))
            continue
        operator_index += run.operators
        latency_us += run.latency_us
        batch.runs.append(
            RunRecord(
                run_uuid=run.run_id,
                started_at_us=unix_us(run.started_at),
                processor=run.processor,
                framework=run.framework,
                model_name=run.model.name,
                model_digest=run.model.digest or "",
                condition=run.condition,
                context=_context(batch, run.context),
                profiled=run.profiled,
                calibration=run.calibration,
                total_ns=round(run.total_us * 1000),
                energy_mj=run.energy_mj,
                inclusion_probability=None if run.inclusion_probability == 1.0 else run.inclusion_probability,
                length=len(run.operators),
                ran_on=_fall_backs(run.ran_on, run.processor),
            )
        )
    batch.operator_index = np.array(operator_index, dtype=np.int64)
    batch.latency_ns = np.rint(np.array(latency_us, dtype=np.float64) * 1000).astype(np.int64)


def _inconsistency(run: wire.RunDecoded, n_operators: int, broken: set[int]) -> Fault | None:
    if len(run.latency_us) != len(run.operators):
        return Fault("/latency_us", f"{len(run.latency_us)} latencies for {len(run.operators)} operators")
    if run.ran_on is not None and len(run.ran_on) != len(run.operators):
        return Fault("/ran_on", f"{len(run.ran_on)} places for {len(run.operators)} operators")
    if run.operators and max(run.operators) >= n_operators:
        position, value = next((p, v) for p, v in enumerate(run.operators) if v >= n_operators)
        return Fault(f"/operators/{position}", f"index {value}, but the batch has {n_operators} operators")
    if broken and not broken.isdisjoint(run.operators):
        position, value = next((p, v) for p, v in enumerate(run.operators) if v in broken)
        return Fault(f"/operators/{position}", f"operator {value} of the batch is faulty itself")
    return None


def _add_transfers(batch: Batch, raws: list[msgspec.Raw], faults: list[Fault]) -> None:
    for index, raw in enumerate(raws):
        transfer = decode_part(_transfers.decode, raw, f"/transfers/{index}", faults)
        if transfer is None:
            continue
        batch.transfers.append(
            TransferRecord(
                transfer_uuid=transfer.transfer_id,
                started_at_us=unix_us(transfer.started_at),
                source=transfer.source,
                target=transfer.target,
                size_bytes=transfer.size_bytes,
                latency_ns=round(transfer.latency_us * 1000),
                context=_context(batch, transfer.context),
            )
        )


def _context(batch: Batch, fields: wire.ContextFields | None) -> str:
    text, clamped = context_text(fields)
    batch.clamped += clamped
    return text


def _fall_backs(ran_on: list[str] | None, processor: str) -> list[tuple[int, str]] | None:
    """Return the positions that ran elsewhere than the run itself; None where nothing was told."""
    if ran_on is None:
        return None
    return [(position, place) for position, place in enumerate(ran_on) if place != processor]
