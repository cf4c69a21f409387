"""What was usually read before a device's newest runs, so that a jump of its circumstances shows."""

from math import log

from predictors.run import Context

Readings = tuple[float | None, ...]
"""One value for each of `READ`; None where no sensor told it."""

_LOGARITHMIC = ("probe_memory_us", "probe_compute_us", "frequency_mhz")
READ = ("cpu_utilization", "cpu_pressure", "run_queue", "processor_utilization", *_LOGARITHMIC)
"""Context fields whose jumps are watched; probes and frequency by their logarithm."""

NOTHING_READ: Readings = (None,) * len(READ)

_RATE = 0.5
_MOST = 1e6


def readings(context: Context) -> Readings:
    """Return what a context tells of `READ`; what cannot be is taken for missing."""
    return tuple(_reading(context, name) for name in READ)


def moved(usual: Readings, now: Readings) -> Readings:
    """Return what is usual after one more run: a moving average that a missing sensor leaves as it was."""
    return tuple(
        before if value is None else round(value if before is None else before + _RATE * (value - before), 3)
        for before, value in zip(usual, now, strict=True)
    )


def jumps(usual: Readings, now: Readings) -> list[float]:
    """Return by how much each field jumped; NaN where it is not known."""
    return [
        float("nan") if before is None or value is None else value - before
        for before, value in zip(usual, now, strict=True)
    ]


def _reading(context: Context, name: str) -> float | None:
    value = context.get(name)
    if value is None or (name in _LOGARITHMIC and value <= 0.0):
        return None
    return log(value) if name in _LOGARITHMIC else min(max(value, -_MOST), _MOST)
