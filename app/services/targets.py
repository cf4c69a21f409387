"""Who is asked about: a device as it stands now, or a SoC as such, known or not.

Every processor is answered for, from the first request: by its own predictor, else by its nearest relative's,
else by the physical prior. The answer's coverage says which.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.errors import Fault, InvalidRequestError, NotFoundError
from app.services.shelf import Serving, Shelf
from app.store import devices
from app.store.batch import ProcessorRecord
from app.store.devices import DeviceInfo, ProcessorInfo
from app.store.engine import Connection
from predictors.device_state import DeviceState
from predictors.run import PredictorKey
from predictors.transfer import nearest
from predictors.version import PredictorVersion

KINDS = ("cpu", "gpu", "npu", "dsp", "tpu", "apu")
"""How names of processors begin that are believed before any device declared them."""

UNSTORED = 0
"""Number of a processor or version that is not in the store."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor of a target: what serves it, and how it fares at the moment.

    Where nothing was learned for it, `borrowed_from` names the nearest known processor, whose predictor
    serves instead; without any of its kind the physical prior does, a version that rests on no run.
    """

    info: ProcessorInfo
    key: PredictorKey
    serving: Serving
    state: DeviceState
    borrowed_from: PredictorKey | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What to predict for: a device (or a SoC, as its first known device describes it) in a context."""

    device_id: str
    soc: str
    context: Mapping[str, float]
    processors: tuple[Processor, ...]

    def processor(self, name: str) -> Processor:
        """Return a processor by name; raise `InvalidRequestError`."""
        for processor in self.processors:
            if processor.info.name == name:
                return processor
        known = ", ".join(processor.info.name for processor in self.processors)
        detail = f"{self.soc} has no processor {name!r}; it has {known or 'none yet'}."
        raise InvalidRequestError(detail, faults=(Fault("/processor", detail),))


def resolve(
    connection: Connection,
    shelf: Shelf,
    *,
    device_id: str | None,
    soc: str | None,
    context: Mapping[str, float | bool] | None,
    framework: str | None = None,
    named: Sequence[str] = (),
) -> Target:
    """Return the target of a request; a context given replaces the device's latest.

    A SoC has no state and no latest context of its own; it may have processors that no device told of, if
    they are `named` by what they are (`KINDS`). Raises `NotFoundError` for a device that never sent anything,
    and for such a SoC where no processor is named.
    """
    serving = shelf.all(connection)
    if device_id is not None:
        device, states = _device(connection, device_id)
        found, processors, latest = (device.device_id, device.soc), device.processors, device.context or {}
    else:
        states, latest = {}, {}
        found, processors = _of_soc(connection, soc or "", named)
    used = latest if context is None else context
    return Target(
        *found,
        {name: float(value) for name, value in used.items()},
        tuple(_processor(info, found[1], framework, serving, states.get(info.id)) for info in processors),
    )


def _device(connection: Connection, device_id: str) -> tuple[DeviceInfo, Mapping[int, str]]:
    found = devices.get_standing(connection, device_id)
    if found is None:
        raise NotFoundError(f"Device {device_id!r} has not sent anything yet.")
    return found


def _of_soc(
    connection: Connection, soc: str, named: Sequence[str]
) -> tuple[tuple[str, str], tuple[ProcessorInfo, ...]]:
    """Return a device that stands for a SoC (none: empty) with the SoC, and its processors."""
    known = devices.list_devices(connection, soc=soc, limit=1)
    told = known[0].processors if known else ()
    names = {info.name for info in told}
    added = tuple(
        info for name in dict.fromkeys(named) if name not in names and (info := _by_name(name)) is not None
    )
    if not known and not added:
        raise NotFoundError(
            f"No device with the SoC {soc!r} has sent anything yet; name processors by what they are "
            f"({', '.join(KINDS)}, as in cpu-big-4) to have a first guess."
        )
    return (known[0].device_id, known[0].soc) if known else ("", soc), (*told, *added)


def _by_name(name: str) -> ProcessorInfo | None:
    """Return what a name tells of a processor that nobody declared; None where it does not say what it is."""
    record = ProcessorRecord.named(name)
    if record.kind not in KINDS:
        return None
    return ProcessorInfo(UNSTORED, name, record.kind, record.threads, tuple(json.loads(record.resources)), ())


def _processor(
    info: ProcessorInfo,
    soc: str,
    framework: str | None,
    serving: Mapping[PredictorKey, Serving],
    state: str | None,
) -> Processor:
    """Return a processor with its predictor, of the framework asked for, else of the newest one.

    A processor without one borrows its nearest relative's; without any relative the physical prior answers.
    """
    candidates = [
        key
        for key in serving
        if (key.soc, key.processor) == (soc, info.name) and framework in (None, key.framework)
    ]
    if not candidates:
        key = PredictorKey(soc, info.name, framework or "")
        relative = nearest(key, serving)
        if relative is None:
            return Processor(info, key, Serving(UNSTORED, PredictorVersion(key)), DeviceState.initial())
        key = replace(key, framework=relative.framework)
        return Processor(info, key, serving[relative], DeviceState.initial(), borrowed_from=relative)
    key = max(candidates, key=lambda candidate: serving[candidate].id)
    moved = DeviceState.initial() if state is None else DeviceState.from_json(state)
    return Processor(info, key, serving[key], moved)
