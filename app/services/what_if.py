"""What if the device were busier, hotter, its caches fuller? Contexts made from contexts that were seen.

A slider moves one sensor, but sensors move together: probes slow down as load grows. So the context asked
about is the recorded one that is nearest to the sliders, with the sliders' own values put in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.store import runs
from app.store.engine import Connection
from app.store.runs import RunFilter

SEEN_RUNS = 300

Context = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Knob:
    """A slider: the sensor that it moves, the range that was seen, and the present value.

    `field` is None where the device reports no sensor of the kind.
    """

    name: str
    label: str
    field: str | None = None
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    now: float = 0.0


_KINDS: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = (
    (
        "load",
        "Load",
        (
            ("processor_utilization", "share"),
            ("cpu_utilization", "share"),
            ("run_queue", "processes waiting"),
        ),
    ),
    ("temperature", "Temperature", (("temperature_c", "°C"), ("thermal_status", "thermal status"))),
    (
        "cache",
        "Cache pressure",
        (("cache_miss_rate", "misses"), ("probe_memory_us", "µs memory probe"), ("memory_pressure", "share")),
    ),
)


def seen_contexts(connection: Connection, device_id: str) -> list[dict[str, float]]:
    """Return the contexts of a device's newest runs."""
    found = runs.list_runs(connection, RunFilter(device_id=device_id), limit=SEEN_RUNS)
    return [{name: float(value) for name, value in run.context.items() if value is not None} for run in found]


def knobs(seen: Sequence[Context], latest: Context) -> list[Knob]:
    """Return the sliders: for each kind the first sensor that was seen to vary."""
    return [_knob(name, label, fields, seen, latest) for name, label, fields in _KINDS]


def imagined(seen: Sequence[Context], latest: Context, wanted: Mapping[str, float]) -> dict[str, float]:
    """Return the context asked about: `wanted` holds values by sensor; when empty it is the latest."""
    if not wanted:
        return dict(latest)
    spans = {
        field: max(
            max((one[field] for one in seen if field in one), default=value)
            - min((one[field] for one in seen if field in one), default=value),
            1e-9,
        )
        for field, value in wanted.items()
    }

    def distance(one: Context) -> float:
        return sum(
            ((one[field] - value) / spans[field]) ** 2 if field in one else 1.0
            for field, value in wanted.items()
        )

    nearest: Context = min((latest, *seen), key=distance)
    return {**nearest, **wanted}


def _knob(
    name: str, label: str, fields: Sequence[tuple[str, str]], seen: Sequence[Context], latest: Context
) -> Knob:
    for field, unit in fields:
        values = [one[field] for one in seen if field in one]
        if values and min(values) < max(values):
            now = latest.get(field, values[0])
            return Knob(name, label, field, unit, min(*values, now), max(*values, now), now)
    return Knob(name, label)
