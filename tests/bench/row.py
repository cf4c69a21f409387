"""One line of the benchmark table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A measured figure; `target` says what it is held against (empty: for information)."""

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None


def at_least(name: str, value: float, unit: str, bound: float) -> Row:
    """Return a figure that should not be below `bound`."""
    return Row(name, value, unit, f"≥ {bound:g}", value >= bound)


def at_most(name: str, value: float, unit: str, bound: float) -> Row:
    """Return a figure that should not be above `bound`."""
    return Row(name, value, unit, f"≤ {bound:g}", value <= bound)
