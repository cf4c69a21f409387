"""Rollups: what the learner scored, added to every view of the error statistics as it is learned."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from app.store.batch import soc_name
from app.store.rollup_views import FINE, VIEWS, Grain, Level, period
from app.store.statistic import Cell, packed
from app.store.tables import device, processor
from app.store.tables import error_rollup as table
from app.store.upsert import insert_or

MANY_FINE_ROWS = 200_000
"""Up to so many rows of a fine view are kept however old they are."""

FINE_DAYS = {Grain.HOUR: 8, Grain.DAY: 62}


class CellKey(NamedTuple):
    """What one cell counts: `op_type` is empty for whole runs, `condition` for unlabelled ones.

    `hour` counts hours since the epoch, `predictor` is the digest of the version that predicted,
    `level` is `operator` or `run`.
    """

    hour: int
    processor_id: int
    condition: str
    model_id: int
    op_type: str
    rung: str
    level: Level
    predictor: str


class RowKey(NamedTuple):
    """One row: a view's name, the first hour of its period, and the dimensions kept (else 0 or empty)."""

    level: str
    grain: str
    view: str
    period: int
    processor_id: int
    condition: str
    model_id: int
    op_type: str
    predictor: str


def add(connection: Connection, cells: Mapping[CellKey, Cell]) -> None:
    """Add statistics to every view."""
    if not cells:
        return
    places = _by_place(cells)
    kinds = _kinds(connection)
    members: dict[RowKey, list[int]] = defaultdict(list)
    for number, fine in enumerate(places):
        for grain, views in VIEWS[fine.level].items():
            start = period(grain, fine.hour)
            for view in views:
                members[_row_key(fine, grain, view, start, kinds)].append(number)
    stored = _stored(connection, members)
    rows = [
        {**key._asdict(), "n": n, "sums": sums, "sketches": sketches}
        for key, (n, sums, sketches) in zip(
            members, packed(list(places.values()), list(members.values()), stored), strict=True
        )
    ]
    statement = insert_or(connection, table)
    replaced = {name: statement.excluded[name] for name in ("n", "sums", "sketches")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(RowKey._fields), set_=replaced), rows
    )


def forget_fine(connection: Connection, now_hour: int) -> int:
    """Drop old rows of the views that grow with the runs, where there are many; return how many went."""
    dropped = 0
    for level, grain, view in FINE:
        own = (table.c.level == level) & (table.c.grain == grain) & (table.c.view == view)
        if (connection.scalar(select(func.count()).select_from(table).where(own)) or 0) > MANY_FINE_ROWS:
            old = period(Grain.DAY, now_hour - 24 * FINE_DAYS[grain])
            dropped += connection.execute(delete(table).where(own, table.c.period < old)).rowcount
    return dropped


def _by_place(cells: Mapping[CellKey, Cell]) -> dict[CellKey, dict[str, Cell]]:
    """Put the rungs of one place together; the rung of the keys returned is empty."""
    places: dict[CellKey, dict[str, Cell]] = defaultdict(dict)
    for key, cell in cells.items():
        places[key._replace(rung="")][key.rung] = cell
    return places


def _row_key(fine: CellKey, grain: Grain, view: str, start: int, kinds: Mapping[int, int]) -> RowKey:
    place = fine.processor_id if "p" in view else kinds[fine.processor_id] if "k" in view else 0
    return RowKey(
        fine.level,
        grain.value,
        view,
        start,
        place,
        fine.condition if "c" in view else "",
        fine.model_id if "m" in view else 0,
        fine.op_type if "o" in view else "",
        fine.predictor if "v" in view else "",
    )


def _kinds(connection: Connection) -> dict[int, int]:
    """Return for each processor the first one with the same SoC and name: it stands for their kind."""
    rows = connection.execute(
        select(processor.c.id, processor.c.name, device.c.soc, device.c.device_id)
        .join(device, device.c.id == processor.c.device)
        .order_by(processor.c.id)
    )
    first: dict[tuple[str, str], int] = {}
    return {row.id: first.setdefault((soc_name(row.soc, row.device_id), row.name), row.id) for row in rows}


_STORED = select(table).where(
    table.c.level == bindparam("level"),
    table.c.grain == bindparam("grain"),
    table.c.view == bindparam("view"),
    table.c.period == bindparam("period"),
    table.c.processor_id.in_(bindparam("processors", expanding=True)),
    table.c.condition.in_(bindparam("conditions", expanding=True)),
    table.c.model_id.in_(bindparam("models", expanding=True)),
    table.c.predictor.in_(bindparam("predictors", expanding=True)),
)


def _stored(connection: Connection, wanted: Mapping[RowKey, object]) -> list[tuple[bytes, bytes] | None]:
    """Return the sums and sketches stored under each key, None where there is no such row yet."""
    parts: dict[tuple[str, str, str, int], list[RowKey]] = defaultdict(list)
    for key in wanted:
        parts[key[:4]].append(key)
    found: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}
    for (level, grain, view, start), keys in parts.items():
        rows = connection.execute(
            _STORED,
            {
                "level": level,
                "grain": grain,
                "view": view,
                "period": start,
                "processors": list({key.processor_id for key in keys}),
                "conditions": list({key.condition for key in keys}),
                "models": list({key.model_id for key in keys}),
                "predictors": list({key.predictor for key in keys}),
            },
        )
        found.update((tuple(row[:9]), (row.sums, row.sketches)) for row in rows)
    return [found.get(tuple(key)) for key in wanted]
