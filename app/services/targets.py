"""Who is asked about: a device as it stands now, or a SoC as such."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.errors import Fault, InvalidRequestError, NotFoundError
from app.services.shelf import Serving, Shelf
from app.store import devices
from app.store.devices import DeviceInfo, ProcessorInfo
from app.store.engine import Connection
from predictors.device_state import DeviceState
from predictors.run import PredictorKey
from predictors.transfer import nearest


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor of a target: what serves it, and how it fares at the moment.

    `serving` is None when nothing was learned for any processor of its kind yet. Where nothing was learned
    for this one, `borrowed_from` names the nearest known processor, whose predictor serves instead.
    """

    info: ProcessorInfo
    key: PredictorKey
    serving: Serving | None
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
) -> Target:
    """Return the target of a request; a context given replaces the device's latest.

    A SoC has no state and no latest context of its own. Raises `NotFoundError` for one that never sent
    anything.
    """
    device, known_states = (
        _device(connection, device_id) if device_id is not None else _first_with(connection, soc or "")
    )
    used = context if context is not None else (device.context or {}) if device_id is not None else {}
    serving = shelf.all(connection)
    return Target(
        device.device_id,
        device.soc,
        {name: float(value) for name, value in used.items()},
        tuple(
            _processor(info, device.soc, framework, serving, known_states.get(info.id))
            for info in device.processors
        ),
    )


def _device(connection: Connection, device_id: str) -> tuple[DeviceInfo, Mapping[int, str]]:
    found = devices.get_standing(connection, device_id)
    if found is None:
        raise NotFoundError(f"Device {device_id!r} has not sent anything yet.")
    return found


def _first_with(connection: Connection, soc: str) -> tuple[DeviceInfo, Mapping[int, str]]:
    """Return the first device with a SoC, without its states: a SoC as such stands nowhere."""
    known = devices.list_devices(connection, soc=soc, limit=1)
    if not known:
        raise NotFoundError(f"No device with the SoC {soc!r} has sent anything yet.")
    return known[0], {}


def _processor(
    info: ProcessorInfo,
    soc: str,
    framework: str | None,
    serving: Mapping[PredictorKey, Serving],
    state: str | None,
) -> Processor:
    """Return a processor with its predictor, of the framework asked for, else of the newest one.

    A processor without one borrows its nearest relative's.
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
            return Processor(info, key, None, DeviceState.initial())
        key = replace(key, framework=relative.framework)
        return Processor(info, key, serving[relative], DeviceState.initial(), borrowed_from=relative)
    key = max(candidates, key=lambda candidate: serving[candidate].id)
    moved = DeviceState.initial() if state is None else DeviceState.from_json(state)
    return Processor(info, key, serving[key], moved)
