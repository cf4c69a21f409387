"""Prediction errors as pages show them: distributions by group, not means alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.services.error_book import figures
from app.services.times import ordered
from app.store import devices, models, reports, runs
from app.store.engine import Connection
from app.store.reports import EVERYTHING, ErrorFilter
from app.store.rollup_views import HOUR_US, Level
from app.store.runs import RunFilter
from app.store.statistic import Cell

HOUR, KIND = "hour", "op_type"
WEEK_US = 7 * 24 * HOUR_US
MOST_NAMES = 500

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CUMULATIVE = (0.02, 0.05, *(step / 20 for step in range(2, 20)), 0.98)
"""Shares at which a cumulative distribution is read."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Errors of one rung in one group, as fractions; `cell` keeps the whole distribution."""

    n: int
    mape: float
    quantiles: tuple[float, ...]
    within_10: float
    bias: float
    coverage: float | None
    width: float | None
    cell: Cell

    @property
    def median(self) -> float:
        """The median absolute percentage error."""
        return self.quantiles[2]

    def cumulative(self) -> list[tuple[float, float]]:
        """Return (share, error): so many predictions were no more wrong than that."""
        return list(zip(CUMULATIVE, self.cell.sketch.get_quantiles(list(CUMULATIVE)), strict=True))


Groups = Mapping[str, Mapping[str, Distribution]]
"""For each value of a dimension the distribution of each rung."""


class ErrorView:
    """The errors that a filter lets through, grouped in several ways: a small read for each.

    `dimensions` are read on the level `level`, hours for the newest week only; operators by kind are read
    besides where `kinds` says so.
    """

    def __init__(
        self,
        connection: Connection,
        wanted: ErrorFilter,
        dimensions: Sequence[str],
        *,
        level: Level = "run",
        kinds: bool = False,
    ) -> None:
        ordered(wanted.since_us, wanted.until_us)
        self.overall = _read(connection, (), wanted, level).get("", {})
        lately = newest_week(connection, wanted) if HOUR in dimensions else wanted
        self._groups = {
            name: _read(connection, (name,), lately if name == HOUR else wanted, level) for name in dimensions
        }
        if kinds:
            self._groups[KIND] = _read(connection, (KIND,), wanted, "operator")

    def by(self, dimension: str) -> Groups:
        """Return the errors of every rung by the values of a dimension, in order of these."""
        return self._groups[dimension]


def newest_week(connection: Connection, wanted: ErrorFilter) -> ErrorFilter:
    """Return the filter held to the week before the newest run that it lets through."""
    own = RunFilter(
        device_id=wanted.device_id,
        processor=wanted.processor,
        model=wanted.model,
        condition=wanted.condition,
        until_us=wanted.until_us,
    )
    newest = runs.list_runs(connection, own, limit=1)
    if not newest:
        return wanted
    return replace(wanted, since_us=max(wanted.since_us or 0, newest[0].started_at_us - WEEK_US))


def names(connection: Connection) -> dict[str, list[str]]:
    """Return what can be filtered by: the values of each dimension."""
    return {
        "device": [device.device_id for device in devices.list_by_last_seen(connection, MOST_NAMES)],
        "processor": sorted({name for _, name in devices.places(connection)}),
        "condition": [name for name in _read(connection, ("condition",), EVERYTHING, "run") if name],
        "model": sorted({name for _, name in models.list_names(connection, MOST_NAMES)}),
        KIND: list(_read(connection, (KIND,), EVERYTHING, "operator")),
    }


def rows(connection: Connection, wanted: ErrorFilter, group_by: Sequence[str]) -> list[dict[str, Any]]:
    """Return one flat row a group, level and rung with the report's figures, for files."""
    ordered(wanted.since_us, wanted.until_us)
    return [
        {**group.dimensions, "level": group.level, "rung": group.rung, **figures(group.cell)}
        for group in reports.query(connection, group_by, wanted)
    ]


def _read(connection: Connection, group_by: Sequence[str], wanted: ErrorFilter, level: Level) -> Groups:
    found: dict[str, dict[str, Distribution]] = {}
    for group in reports.query(connection, group_by, wanted, levels=(level,)):
        name = str(group.values[0]) if group_by else ""
        found.setdefault(name, {})[group.rung] = _distribution(group.cell)
    return found


def hour_us(text: str) -> int:
    """Return the start of an `hour` group in microseconds since the epoch."""
    return int(text) * HOUR_US


def _distribution(cell: Cell) -> Distribution:
    known = figures(cell)
    return Distribution(
        n=cell.n,
        mape=float(known["mape"] or 0.0),
        quantiles=tuple(cell.sketch.get_quantiles(list(QUANTILES))),
        within_10=float(known["within_10"] or 0.0),
        bias=float(known["bias"] or 0.0),
        coverage=known["coverage"],
        width=known["width"],
        cell=cell,
    )
