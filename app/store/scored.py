"""How much was scored: runs of models, timings of operator types, and what each version predicted."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from app.store import names
from app.store.names import ModelName, ProcessorName
from app.store.rollup_views import Grain, Level
from app.store.statistic import cells, unpack_sums
from app.store.tables import error_rollup as table


def models(connection: Connection, socs: Collection[str]) -> Iterator[tuple[str, str, ModelName, int]]:
    """Yield SoC, processor name, model and how many of its runs were scored there."""
    known = names.models(connection)
    for (soc, _, name), key, n in _counted(connection, socs, "run", "pm", table.c.model_id):
        yield soc, name, known[key], n


def op_types(connection: Connection, socs: Collection[str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield SoC, processor name, operator type and how many of its timings were scored there."""
    for (soc, _, name), op_type, n in _counted(connection, socs, "operator", "po", table.c.op_type):
        yield soc, name, op_type, n


def _counted(
    connection: Connection, socs: Collection[str], level: Level, view: str, column: ColumnElement[Any]
) -> Iterator[tuple[ProcessorName, Any, int]]:
    places = names.processors(connection)
    wanted = [key for key, place in places.items() if place.soc in socs]
    rows = connection.execute(
        select(table.c.processor_id, column, func.sum(table.c.n))
        .where(table.c.level == level, table.c.grain == Grain.MONTH.value, table.c.view == view)
        .where(table.c.processor_id.in_(wanted))
        .group_by(table.c.processor_id, column)
    )
    for key, value, n in rows:
        yield places[key], value, int(n)


def versions(connection: Connection, digests: Collection[str], rung: str) -> dict[str, tuple[int, float]]:
    """Return by version how many runs it predicted on a rung and their mean absolute percentage error."""
    rows = connection.execute(
        select(table.c.predictor, table.c.sums, table.c.sketches).where(
            table.c.level == "run",
            table.c.grain == Grain.MONTH.value,
            table.c.view == "pv",
            table.c.predictor.in_(digests),
        )
    )
    by_digest: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_digest[row.predictor].append(row)
    found = {}
    for digest, own in by_digest.items():
        cell = cells(unpack_sums([row.sums for row in own]), [row.sketches for row in own]).get(rung)
        if cell is not None:
            found[digest] = (cell.n, cell.sums["ape"] / cell.n)
    return found
