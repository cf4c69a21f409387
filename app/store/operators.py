"""Operators read back from the store, each one once."""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select

from app.store.tables import operator, run, timing
from predictors.graph import Operator

CACHED_OPERATORS = 100_000


class OperatorReader:
    """Reads operators by number and hands out one object for each, as long as they fit."""

    def __init__(self) -> None:
        self._known: dict[int, Operator] = {}

    def get(self, connection: Connection, operator_ids: Iterable[int]) -> dict[int, Operator]:
        """Return operators by number."""
        wanted = set(operator_ids)
        missing = sorted(wanted - self._known.keys())
        if missing:
            if len(self._known) + len(missing) > CACHED_OPERATORS:
                self._known.clear()
                missing = sorted(wanted)
            for start in range(0, len(missing), 1000):
                self._read(connection, missing[start : start + 1000])
        return {key: self._known[key] for key in wanted}

    def _read(self, connection: Connection, keys: Sequence[int]) -> None:
        query = select(operator).where(operator.c.id.in_(bindparam("keys", list(keys), expanding=True)))
        for row in connection.execute(query):
            self._known[row.id] = Operator(
                op_type=row.op_type,
                inputs=tuple(map(tuple, json.loads(row.inputs))),
                outputs=tuple(map(tuple, json.loads(row.outputs))),
                dtype=row.dtype,
                attributes=json.loads(row.attributes),
            )


def timed_dtypes(connection: Connection, processor_id: int, newest_runs: int = 20) -> set[str]:
    """Return the data types of what a processor (a row of `processor`) lately ran."""
    runs = (
        select(run.c.id)
        .where(run.c.processor_id == processor_id)
        .order_by(run.c.id.desc())
        .limit(newest_runs)
    )
    found = connection.scalars(
        select(operator.c.dtype)
        .join(timing, timing.c.operator_id == operator.c.id)
        .where(timing.c.run_id.in_(runs.scalar_subquery()))
        .distinct()
    )
    return set(found)
