"""Prediction errors as pages show them: distributions by group, not means alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from app.errors import Fault, InvalidRequestError
from app.services.error_book import figures
from app.store import reports
from app.store.engine import Connection
from app.store.reports import HOUR_US, Cell

Level = Literal["run", "operator"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CUMULATIVE = (0.02, 0.05, *(step / 20 for step in range(2, 20)), 0.98)
"""Shares at which a cumulative distribution is read."""


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which predictions; None lets all through, times are cut to whole hours."""

    device: str | None = None
    processor: str | None = None
    condition: str | None = None
    model: str | None = None
    op_type: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def __post_init__(self) -> None:
        """Raise `InvalidRequestError` for a reversed range."""
        if self.since_us is not None and self.until_us is not None and self.since_us >= self.until_us:
            detail = "The range is reversed: `since` must be before `until`."
            raise InvalidRequestError(detail, faults=(Fault("/query/since", detail),))

    @property
    def dimensions(self) -> dict[str, str]:
        """The dimensions that are held to a value."""
        names = [field.name for field in fields(self) if not field.name.endswith("_us")]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


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
    """The errors that a filter lets through, read once and grouped in several ways.

    `names` holds every value of each dimension, whether the filter lets it through or not.
    """

    def __init__(self, connection: Connection, wanted: ErrorFilter, dimensions: Sequence[str]) -> None:
        held = wanted.dimensions
        read = list(dict.fromkeys([*dimensions, *held]))
        period = reports.ErrorFilter(since_us=wanted.since_us, until_us=wanted.until_us)
        groups = reports.query(connection, read, period)
        self.names = {name: sorted({str(group.dimensions[name]) for group in groups} - {""}) for name in read}
        self._groups = [
            group for group in groups if all(group.dimensions[name] == value for name, value in held.items())
        ]

    def by(self, dimension: str, level: Level = "run") -> Groups:
        """Return the errors of every rung by the values of a dimension, in order of these."""
        cells: dict[str, dict[str, Cell]] = {}
        for group in self._groups:
            if group.level == level:
                rungs = cells.setdefault(str(group.dimensions[dimension]), {})
                rungs.setdefault(group.rung, Cell()).merge(group.cell)
        return {
            key: {rung: _distribution(cell) for rung, cell in rungs.items()}
            for key, rungs in sorted(cells.items())
        }

    def overall(self, level: Level = "run") -> Mapping[str, Distribution]:
        """Return the errors of every rung."""
        cells: dict[str, Cell] = {}
        for group in self._groups:
            if group.level == level:
                cells.setdefault(group.rung, Cell()).merge(group.cell)
        return {rung: _distribution(cell) for rung, cell in cells.items()}


def rows(connection: Connection, wanted: ErrorFilter, group_by: Sequence[str]) -> list[dict[str, Any]]:
    """Return one flat row a group, level and rung with the report's figures, for files."""
    held = wanted.dimensions
    read = list(dict.fromkeys([*group_by, *held]))
    found = reports.query(connection, read, since_us=wanted.since_us, until_us=wanted.until_us)
    return [
        {**group.dimensions, "level": group.level, "rung": group.rung, **figures(group.cell)}
        for group in found
        if all(group.dimensions[name] == value for name, value in held.items())
    ]


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
