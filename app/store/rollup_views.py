"""Which sums of the error statistics are kept: the data cube's useful faces, by length of time.

A view keeps some dimensions and sums over all others, named by letters: `p` processor of a device, `k` kind
of processor (same SoC and name), `c` condition, `m` model, `o` operator type, `v` predictor version. A report
reads the smallest view that has what it groups and filters by (Harinarayan, Rajaraman and Ullman 1996), so
that its time depends on the size of the answer and not on how many runs there were.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

Level = Literal["run", "operator"]
LEVELS: tuple[Level, ...] = ("run", "operator")

HOUR_US = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Grain(StrEnum):
    """Length of the periods that a view sums over."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


VIEWS: dict[Level, dict[Grain, tuple[str, ...]]] = {
    "run": {
        Grain.HOUR: ("c", "cm", "pc", "pm", "pcmv"),
        Grain.DAY: ("c", "cm", "kcm", "pc", "pm", "pcm"),
        Grain.MONTH: ("c", "cm", "kcm", "pc", "pm", "pv", "pcm", "pcmv"),
    },
    "operator": {
        Grain.HOUR: ("c", "co", "cm", "pc", "po", "pm", "pcmo"),
        Grain.DAY: ("c", "co", "cmo", "kcm", "kco", "pc", "po", "pm", "pcmo"),
        Grain.MONTH: (
            "c",
            "co",
            "cmo",
            "kcm",
            "kco",
            "kmo",
            "kcmo",
            *("pc", "po", "pm", "pcm", "pco", "pmo"),
            "pcmo",
        ),
    },
}

FINE = {("run", Grain.HOUR, "pcmv"), ("operator", Grain.HOUR, "pcmo"), ("operator", Grain.DAY, "pcmo")}
"""Views that grow with the runs themselves: upkeep forgets their old rows once there are many."""

_WEIGHT = {"p": 100, "k": 16, "c": 5, "m": 10, "o": 12, "v": 40}


@dataclass(frozen=True, slots=True)
class Span:
    """Periods of one length, from `first_hour` (since the epoch) up to, not including, `end_hour`."""

    grain: Grain
    first_hour: int
    end_hour: int


def smallest(level: Level, grain: Grain, wanted: Collection[str]) -> str | None:
    """Return the smallest view with the dimensions wanted, None where no view has them all."""
    fitting = [view for view in VIEWS[level][grain] if _has(view, wanted)]
    return min(fitting, key=size) if fitting else None


def size(view: str) -> int:
    """Return roughly how many rows a period of a view has, for comparison with others."""
    product = 1
    for letter in view:
        product *= _WEIGHT[letter]
    return product


def period(grain: Grain, hour: int) -> int:
    """Return the first hour of the period that an hour lies in."""
    if grain is Grain.HOUR:
        return hour
    if grain is Grain.DAY:
        return hour - hour % 24
    return _hours((EPOCH + timedelta(hours=hour)).replace(day=1, hour=0))


def spans(first_hour: int, end_hour: int) -> list[Span]:
    """Split a range of hours into whole months, days and single hours, as few as there can be."""
    found = []
    for grain, lower in ((Grain.MONTH, Grain.DAY), (Grain.DAY, Grain.HOUR)):
        inner = _inside(grain, first_hour, end_hour)
        if inner is None:
            continue
        head, tail = (first_hour, inner[0]), (inner[1], end_hour)
        rest = [span for part in (head, tail) for span in _split(lower, *part)]
        found = [*rest, Span(grain, *inner)]
        break
    else:
        found = [Span(Grain.HOUR, first_hour, end_hour)] if first_hour < end_hour else []
    return sorted(found, key=lambda span: span.first_hour)


def _split(grain: Grain, first_hour: int, end_hour: int) -> list[Span]:
    """Split a range into whole periods and the hours around them."""
    if first_hour >= end_hour:
        return []
    inner = _inside(grain, first_hour, end_hour) if grain is not Grain.HOUR else None
    if inner is None:
        return [Span(Grain.HOUR, first_hour, end_hour)]
    parts = [
        Span(Grain.HOUR, first_hour, inner[0]),
        Span(grain, *inner),
        Span(Grain.HOUR, inner[1], end_hour),
    ]
    return [part for part in parts if part.first_hour < part.end_hour]


def _inside(grain: Grain, first_hour: int, end_hour: int) -> tuple[int, int] | None:
    """Return the range of whole periods inside a range of hours."""
    start = period(grain, first_hour)
    if start < first_hour:
        start = next_period(grain, start)
    end = period(grain, end_hour)
    return (start, end) if start < end else None


def next_period(grain: Grain, start: int) -> int:
    """Return the first hour of the period after the one that begins at `start`."""
    if grain is Grain.HOUR:
        return start + 1
    if grain is Grain.DAY:
        return start + 24
    return period(Grain.MONTH, start + 31 * 24)


def _hours(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(hours=1)


def _has(view: str, wanted: Collection[str]) -> bool:
    return all(letter in view or (letter == "k" and "p" in view) for letter in wanted)
