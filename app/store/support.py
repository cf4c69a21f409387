"""Where operators really ran: counts by what was asked, from runs that told (`ran_on`)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.store.tables import operator_support
from app.store.upsert import insert_or
from predictors.graph import Operator
from predictors.run import PredictorKey

MOST_COUNTED = 2_000
"""Counts are halved beyond this, so that a driver that learns an operator is believed in the end."""


class Told(NamedTuple):
    """A stored run that told where its operators ran: `fell_back` are the positions that ran elsewhere."""

    key: PredictorKey
    operators: Sequence[Operator | None]
    fell_back: frozenset[int]


class Support(NamedTuple):
    """How often operators of a type told where they ran, and how often that was elsewhere."""

    n: int
    elsewhere: int


def add(connection: Connection, runs: Sequence[Told]) -> None:
    """Count where the operators of some runs ran."""
    counts: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for told in runs:
        for position, operator in enumerate(told.operators):
            if operator is not None:
                key = (told.key.soc, told.key.processor, told.key.framework, operator.op_type)
                counts[key][0] += 1
                counts[key][1] += position in told.fell_back
    if not counts:
        return
    table = operator_support
    for soc, processor, framework in {key[:3] for key in counts}:
        stored = select(table).where(
            table.c.soc == soc, table.c.processor == processor, table.c.framework == framework
        )
        for row in connection.execute(stored):
            known = counts.get((soc, processor, framework, row.op_type))
            if known is not None:
                known[0] += row.n
                known[1] += row.elsewhere
    statement = insert_or(connection, table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["soc", "processor", "framework", "op_type"],
            set_={name: statement.excluded[name] for name in ("n", "elsewhere")},
        ),
        [
            {
                **dict(zip(("soc", "processor", "framework", "op_type"), key, strict=True)),
                "n": n // 2 if n > MOST_COUNTED else n,
                "elsewhere": elsewhere // 2 if n > MOST_COUNTED else elsewhere,
            }
            for key, (n, elsewhere) in counts.items()
        ],
    )


def of_soc(connection: Connection, soc: str) -> dict[tuple[str, str], dict[str, Support]]:
    """Return counts of a SoC by (processor, framework) and operator type."""
    found: dict[tuple[str, str], dict[str, Support]] = defaultdict(dict)
    for row in connection.execute(select(operator_support).where(operator_support.c.soc == soc)):
        found[row.processor, row.framework][row.op_type] = Support(row.n, row.elsewhere)
    return found
