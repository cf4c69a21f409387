"""Error reports: how wrong each rung was, in groups, from the rolled-up statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Fault, InvalidRequestError
from app.services.error_book import figures
from app.services.learn import LEARNER
from app.store import learning, reports
from app.store.engine import Database

Figures = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """One group on one level (`run` or `operator`): its keys, and the figures of each rung."""

    level: str
    group: Mapping[str, str]
    rungs: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """All groups in order; `pending_runs` were stored but not scored yet."""

    groups: Sequence[ErrorGroup]
    pending_runs: int


def errors(
    database: Database,
    group_by: Sequence[str],
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    device_id: str | None = None,
) -> ErrorReport:
    """Return the errors of every rung; times are cut to whole hours.

    Raises `InvalidRequestError` when the range is reversed.
    """
    if since_us is not None and until_us is not None and since_us >= until_us:
        detail = "`since` must be before `until`."
        raise InvalidRequestError(detail, faults=(Fault("/query/since", detail),))
    with database.read() as connection:
        rows = reports.query(connection, group_by, since_us=since_us, until_us=until_us, device_id=device_id)
        pending = learning.pending(connection, LEARNER)
    groups: dict[tuple[str, tuple[str, ...]], dict[str, Figures]] = {}
    for row in rows:
        names = tuple(str(row.dimensions[name]) for name in group_by)
        groups.setdefault((row.level, names), {})[row.rung] = figures(row.cell)
    return ErrorReport(
        [
            ErrorGroup(level, dict(zip(group_by, names, strict=True)), rungs)
            for (level, names), rungs in sorted(
                groups.items(), key=lambda item: (item[0][0] != "run", item[0][1])
            )
        ],
        pending,
    )


def flat_rows(report: ErrorReport) -> list[dict[str, Any]]:
    """Return one row a group, level and rung, for tables and files."""
    return [
        {**group.group, "level": group.level, "rung": rung, **values}
        for group in report.groups
        for rung, values in group.rungs.items()
    ]
