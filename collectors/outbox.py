"""Puts measurements into the spool in the form in which they will travel."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from collectors.clock import rfc3339
from collectors.device import Device
from collectors.measurement import Measurement, TransferMeasurement
from collectors.models import ModelFile
from collectors.spool import Layout, NewRecord, Spool
from predictors.graph import Operator


class Outbox:
    """One device's way into the spool."""

    def __init__(self, spool: Spool, device: Device) -> None:
        self._spool = spool
        spool.forget_unused()
        self._device = spool.add_device(_text(device.section()))
        self._layouts: dict[tuple[Operator, ...], Layout] = {}

    def register(self, models: Sequence[ModelFile]) -> None:
        """Have the model files themselves sent, so that the server knows their graphs."""
        for model in models:
            self._spool.add_model(model.identity.digest, model.path.absolute())

    def put(self, measurements: Sequence[Measurement], transfers: Sequence[TransferMeasurement] = ()) -> None:
        """Spool measurements in one transaction."""
        records = [
            NewRecord("run", _text(_run(measurement)), self._layout(measurement.kernels))
            for measurement in measurements
        ]
        records += [NewRecord("transfer", _text(_transfer(transfer))) for transfer in transfers]
        if records:
            self._spool.add(self._device, records)

    def counts(self) -> dict[str, int | float | str | None]:
        """Return the spool's counters, what waits in it, and the last error of the upload."""
        names = ("spooled", "uploaded", "rejected", "dropped", "retries")
        return {
            **{name: self._spool.count(name) for name in names},
            "pending": self._spool.pending(),
            "upload_error": self._spool.noted("last_error"),
        }

    def _layout(self, kernels: tuple[Operator, ...]) -> Layout | None:
        if kernels and kernels not in self._layouts:
            operators = _text([kernel.to_json() for kernel in kernels])
            self._layouts[kernels] = Layout(hashlib.sha256(operators.encode()).hexdigest(), operators)
        return self._layouts.get(kernels)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _run(measurement: Measurement) -> Mapping[str, object]:
    fields: dict[str, object] = {
        "run_id": measurement.run_id,
        "started_at": rfc3339(measurement.started_at_us),
        "processor": measurement.processor,
        "framework": measurement.framework,
        "model": {"name": measurement.model.name, "digest": measurement.model.digest},
        "context": measurement.context,
        "total_us": measurement.total_us,
        "profiled": measurement.profiled,
        "latency_us": measurement.latency_us,
    }
    if measurement.condition is not None:
        fields["condition"] = measurement.condition
    if measurement.calibration:
        fields["calibration"] = True
    return fields


def _transfer(transfer: TransferMeasurement) -> Mapping[str, object]:
    return {
        "transfer_id": transfer.transfer_id,
        "started_at": rfc3339(transfer.started_at_us),
        "source": transfer.source,
        "target": transfer.target,
        "size_bytes": transfer.size_bytes,
        "latency_us": transfer.latency_us,
        "context": transfer.context,
    }
