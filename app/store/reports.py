"""Read the error statistics: any grouping, any range of hours, from the smallest views that tell it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, func, select

from app.errors import Fault, InvalidRequestError
from app.store import names
from app.store.names import ModelName, ProcessorName
from app.store.rollup_views import (
    FINE,
    HOUR_US,
    LEVELS,
    Grain,
    Level,
    Span,
    next_period,
    period,
    smallest,
    spans,
)
from app.store.statistic import Cell, cells, unpack_sums
from app.store.tables import error_rollup as table

DIMENSIONS = ("soc", "device", "processor", "condition", "op_type", "model", "hour", "predictor")
"""What a report can group by."""

ROWS_AT_ONCE = 4_000
"""About so many rows are read before it is seen whether they fill the page."""

Value = Any
"""A dimension's value: text, but for an hour a number."""

Values = tuple[Value, ...]


class Group(NamedTuple):
    """One rung of one line of a report: the values of its dimensions, and its statistics."""

    dimensions: dict[str, Value]
    rung: str
    level: Level
    cell: Cell

    @property
    def values(self) -> Values:
        """The values of the dimensions in the order asked for."""
        return tuple(self.dimensions.values())


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which predictions; None lets all through. `model` is a name or a digest, times are the runs' starts."""

    since_us: int | None = None
    until_us: int | None = None
    device_id: str | None = None
    soc: str | None = None
    processor: str | None = None
    condition: str | None = None
    model: str | None = None
    op_type: str | None = None


EVERYTHING = ErrorFilter()


def query(
    connection: Connection,
    group_by: Sequence[str],
    wanted: ErrorFilter = EVERYTHING,
    *,
    levels: Sequence[Level] = LEVELS,
    after: tuple[Level, Values] | None = None,
    limit: int | None = None,
) -> list[Group]:
    """Return each rung's statistics by any of `DIMENSIONS`, whole runs first, in order of these values.

    Times are cut to whole hours. With a limit there are no more lines (of all rungs) than that, from the one
    behind `after` on. Raises `InvalidRequestError` where the statistics asked for were forgotten.
    """
    found: list[_Line] = []
    for level in levels:
        if after is not None and LEVELS.index(level) < LEVELS.index(after[0]):
            continue
        if level == "run" and wanted.op_type is not None:
            continue
        behind = after[1] if after is not None and after[0] == level else None
        missing = None if limit is None else limit - len(found)
        if missing is None or missing > 0:
            found += _Reader(connection, level, group_by, wanted).lines(behind, missing)
    return [
        Group(dict(zip(group_by, line.values, strict=True)), rung, line.level, cell)
        for line in found
        for rung, cell in line.rungs.items()
    ]


class _Line(NamedTuple):
    level: Level
    values: Values
    rungs: Mapping[str, Cell]


class _Reader:
    """Answers one query on one level."""

    def __init__(
        self, connection: Connection, level: Level, group_by: Sequence[str], wanted: ErrorFilter
    ) -> None:
        self._connection = connection
        self._level = level
        self._group_by = group_by
        self._letters = _letters(level, group_by, wanted)
        self._names = _Names(connection, wanted, who="p" in self._letters or "k" in self._letters)
        self._parts = [(span, self._where(span, wanted)) for span in self._spans(wanted)]

    def lines(self, after: Values | None, limit: int | None) -> list[_Line]:
        """Return up to `limit` lines behind `after`, in order."""
        found: list[_Line] = []
        for condition in self._portions(after, limit):
            found += [line for line in self._read(condition) if after is None or line.values > after]
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    def _spans(self, wanted: ErrorFilter) -> list[Span]:
        """Return the periods to read; ranges beyond what there is are widened, to read whole months."""
        hours = (table.c.level == self._level) & (table.c.grain == Grain.HOUR.value) & (table.c.view == "c")
        first, last = self._connection.execute(
            select(func.min(table.c.period), func.max(table.c.period)).where(hours)
        ).one()
        if first is None:
            return []
        since = first if wanted.since_us is None else max(wanted.since_us // HOUR_US, first)
        until = last + 1 if wanted.until_us is None else min(-(-wanted.until_us // HOUR_US), last + 1)
        if since >= until:
            return []
        if "hour" in self._group_by:
            return [Span(Grain.HOUR, since, until)]
        start = period(Grain.MONTH, since) if since == first else since
        end = next_period(Grain.MONTH, period(Grain.MONTH, last)) if until > last else until
        return spans(start, end)

    def _where(self, span: Span, wanted: ErrorFilter) -> ColumnElement[bool]:
        grain, view = span.grain, smallest(self._level, span.grain, self._letters)
        if view is None:
            grain, view = Grain.HOUR, smallest(self._level, Grain.HOUR, self._letters)
        assert view is not None
        own = (table.c.level == self._level) & (table.c.grain == grain.value) & (table.c.view == view)
        if (self._level, grain, view) in FINE:
            self._check_kept(own, span)
        where = own & (table.c.period >= span.first_hour) & (table.c.period < span.end_hour)
        if self._names.filtered:
            where &= table.c.processor_id.in_(self._names.processors)
        if wanted.condition is not None:
            where &= table.c.condition == wanted.condition
        if wanted.model is not None:
            where &= table.c.model_id.in_(self._names.wanted_models)
        if wanted.op_type is not None:
            where &= table.c.op_type == wanted.op_type
        return where

    def _check_kept(self, own: ColumnElement[bool], span: Span) -> None:
        kept = self._connection.scalar(select(func.min(table.c.period)).where(own))
        coarse = (table.c.level == self._level) & (table.c.grain == Grain.HOUR.value) & (table.c.view == "c")
        before = coarse & (table.c.period >= span.first_hour)
        first = self._connection.scalar(select(func.min(table.c.period)).where(before))
        if kept is not None and first is not None and period(Grain.DAY, first) < period(Grain.DAY, kept):
            since = np.datetime64(kept * HOUR_US, "us")
            detail = (
                f"Grouped like that, statistics are kept from {since}Z on: ask `since` then, or for fewer "
                "dimensions, or not by `hour` or `predictor`."
            )
            raise InvalidRequestError(detail, faults=(Fault("/query/since", detail),))

    def _portions(self, after: Values | None, limit: int | None) -> Iterator[ColumnElement[bool] | None]:
        """Yield conditions that each let some leading values through, in their order, None for all."""
        if limit is None or not self._group_by:
            yield None
            return
        column, name = _COLUMNS[self._group_by[0]], self._names.namer(self._group_by[0])
        rows: dict[Value, int] = defaultdict(int)
        raw: dict[Value, list[Any]] = defaultdict(list)
        for _, where in self._parts:
            for value, count in self._connection.execute(
                select(column, func.count()).where(where).group_by(column)
            ):
                rows[name(value)] += count
                raw[name(value)].append(value)
        if sum(rows.values()) <= ROWS_AT_ONCE:
            yield None
            return
        held: list[Any] = []
        size = 0
        for value in sorted(rows):
            if after is not None and value < after[0]:
                continue
            held += raw[value]
            size += rows[value]
            if size >= ROWS_AT_ONCE:
                yield column.in_(held)
                held, size = [], 0
        if held:
            yield column.in_(held)

    def _read(self, condition: ColumnElement[bool] | None) -> list[_Line]:
        """Return the lines of the rows that a condition lets through, in order."""
        rows: list[Any] = []
        for _, where in self._parts:
            every = where if condition is None else where & condition
            rows.extend(self._connection.execute(_ROWS.where(every)))
        if not rows:
            return []
        namers = [(self._names.namer(name), _COLUMNS[name].name) for name in self._group_by]
        members: dict[Values, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            members[tuple(name(getattr(row, column)) for name, column in namers)].append(place)
        sums = unpack_sums([row.sums for row in rows])
        return [
            _Line(self._level, values, found)
            for values, places in sorted(members.items())
            if (found := cells(sums[places], [rows[place].sketches for place in places]))
        ]


class _Names:
    """Names of processors and models by their rows, as far as a query needs them."""

    def __init__(self, connection: Connection, wanted: ErrorFilter, *, who: bool) -> None:
        self.filtered = any(value is not None for value in (wanted.device_id, wanted.soc, wanted.processor))
        self.processors = _processors(connection, wanted) if who else {}
        self._connection = connection
        self._models: dict[int, ModelName] | None = None
        self.wanted_models = (
            [key for key, name in self._all_models().items() if wanted.model in name]
            if wanted.model is not None
            else []
        )

    def namer(self, dimension: str) -> Callable[[Any], Value]:
        """Return what turns a row's value into the dimension's."""
        if dimension in _PLACE:
            place = _PLACE.index(dimension)
            return lambda key: self.processors[key][place]
        if dimension == "model":
            models = self._all_models()
            return lambda key: models[key].name
        return lambda value: value

    def _all_models(self) -> dict[int, ModelName]:
        if self._models is None:
            self._models = names.models(self._connection)
        return self._models


_PLACE = ("soc", "device", "processor")

_COLUMNS: dict[str, ColumnElement[Any]] = {
    **dict.fromkeys(_PLACE, table.c.processor_id),
    "condition": table.c.condition,
    "op_type": table.c.op_type,
    "model": table.c.model_id,
    "hour": table.c.period,
    "predictor": table.c.predictor,
}

_ROWS = select(
    table.c.period,
    table.c.processor_id,
    table.c.condition,
    table.c.model_id,
    table.c.op_type,
    table.c.predictor,
    table.c.sums,
    table.c.sketches,
)


def _letters(level: Level, group_by: Collection[str], wanted: ErrorFilter) -> set[str]:
    """Return the dimensions that a view must keep."""
    named = {
        "p": "device" in group_by or wanted.device_id is not None,
        "k": not {"soc", "processor"}.isdisjoint(group_by)
        or wanted.soc is not None
        or wanted.processor is not None,
        "c": "condition" in group_by or wanted.condition is not None,
        "m": "model" in group_by or wanted.model is not None,
        "o": level == "operator" and ("op_type" in group_by or wanted.op_type is not None),
        "v": level == "run" and "predictor" in group_by,
    }
    return {letter for letter, needed in named.items() if needed}


def _processors(connection: Connection, wanted: ErrorFilter) -> dict[int, ProcessorName]:
    """Return the processors wanted by their rows."""
    return {
        key: own
        for key, own in names.processors(connection).items()
        if wanted.soc in (None, own.soc)
        and wanted.device_id in (None, own.device_id)
        and wanted.processor in (None, own.name)
    }
