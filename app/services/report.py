"""Error reports: how wrong each rung was, in groups, from the rolled-up statistics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, get_args

from app.errors import Fault, InvalidRequestError
from app.schemas.reports import ErrorFigures
from app.services import cursors
from app.services.error_book import figures
from app.services.learn import LEARNER
from app.services.table_files import NUMBER, TEXT, WHOLE, TableFile
from app.services.times import moment, ordered, rfc3339
from app.store import learning, reports
from app.store.engine import Database
from app.store.reports import EVERYTHING, ErrorFilter, Group, Values
from app.store.rollup_views import HOUR_US, Level

PORTION = 1_000

Figures = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """One group on one level (`run` or `operator`): its keys, and the figures of each rung."""

    level: str
    group: Mapping[str, str]
    rungs: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Groups in order, runs first; `pending_runs` were stored but not scored yet.

    `next` is the cursor of the following page, None on the last.
    """

    groups: Sequence[ErrorGroup]
    pending_runs: int
    next: str | None


def errors(
    database: Database,
    group_by: Sequence[str],
    wanted: ErrorFilter = EVERYTHING,
    *,
    cursor: str | None = None,
    limit: int = PORTION,
) -> ErrorReport:
    """Return a page of the errors of every rung; times are cut to whole hours.

    Raises `InvalidRequestError` when the range is reversed, the cursor foreign, or the statistics forgotten.
    """
    ordered(wanted.since_us, wanted.until_us)
    after = None if cursor is None else _place(cursor, group_by)
    with database.read() as connection:
        found = reports.query(connection, group_by, wanted, after=after, limit=limit + 1)
        pending = learning.pending(connection, LEARNER)
    lines = [list(rungs) for _, rungs in groupby(found, key=lambda group: (group.level, group.values))]
    following = None
    if len(lines) > limit:
        last = lines[limit - 1][0]
        following = cursors.write(last.level, *last.values)
    return ErrorReport([_group(line) for line in lines[:limit]], pending, following)


def table(database: Database, group_by: Sequence[str], wanted: ErrorFilter = EVERYTHING) -> TableFile:
    """Return the whole report as a table: one row a group, level and rung."""
    columns = {**dict.fromkeys(group_by, TEXT), "level": TEXT, "rung": TEXT, "n": WHOLE}
    columns |= dict.fromkeys((name for name in ErrorFigures.model_fields if name != "n"), NUMBER)
    first = errors(database, group_by, wanted)

    def portions() -> Iterator[list[dict[str, Any]]]:
        page = first
        while True:
            yield flat_rows(page)
            if page.next is None:
                return
            page = errors(database, group_by, wanted, cursor=page.next)

    return TableFile(columns, portions())


def flat_rows(report: ErrorReport) -> list[dict[str, Any]]:
    """Return one row a group, level and rung, for tables and files."""
    return [
        {**group.group, "level": group.level, "rung": rung, **values}
        for group in report.groups
        for rung, values in group.rungs.items()
    ]


def _group(line: Sequence[Group]) -> ErrorGroup:
    named = {
        name: rfc3339(moment(value * HOUR_US)) if name == "hour" else str(value)
        for name, value in line[0].dimensions.items()
    }
    return ErrorGroup(line[0].level, named, {group.rung: figures(group.cell) for group in line})


def _place(cursor: str, group_by: Sequence[str]) -> tuple[Level, Values]:
    kinds = [int if name == "hour" else str for name in group_by]
    level, *values = cursors.read(cursor, str, *kinds)
    if level not in get_args(Level):
        raise InvalidRequestError(faults=(Fault("/query/cursor", "use the `next` of the page before"),))
    return level, tuple(values)  # type: ignore[return-value]
