"""Error statistics: counts, sums and quantile sketches by hour, so that reports never reread the runs."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from datasketches import kll_floats_sketch
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Table, func, select

from app.store.batch import soc_name
from app.store.tables import device, error_statistic, model, processor
from app.store.upsert import insert_or

SKETCH_K = 100
"""Size of a sketch: about 2.3 % rank error in a few hundred bytes."""

HOUR_US = 3_600_000_000

DIMENSIONS = ("soc", "device", "processor", "condition", "op_type", "model", "hour", "predictor")
"""What a report can group by."""


class CellKey(NamedTuple):
    """What one row counts: `op_type` is empty for whole runs, `condition` for unlabelled ones.

    `hour` counts hours since the epoch, `predictor` is the digest of the version that predicted,
    `level` is `operator` or `run`.
    """

    hour: int
    processor_id: int
    condition: str
    model_id: int
    op_type: str
    rung: str
    level: str
    predictor: str


@dataclass(slots=True)
class Cell:
    """Statistics of predictions: how many, sums by name, and the distribution of their absolute errors."""

    n: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    sketch: kll_floats_sketch = field(default_factory=lambda: kll_floats_sketch(SKETCH_K))

    def add(self, absolute_percentage_errors: NDArray[np.float64], terms: Mapping[str, float]) -> None:
        """Count predictions by their errors, shape (n,), and the sums of their other terms."""
        self.n += len(absolute_percentage_errors)
        self.sketch.update(absolute_percentage_errors)
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def merge(self, other: "Cell") -> None:
        """Count everything that `other` counts."""
        self.n += other.n
        self.sketch.merge(other.sketch)
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value


class ModelName(NamedTuple):
    """A model as runs name it; the digest may be empty."""

    name: str
    digest: str


class Group(NamedTuple):
    """One line of a report: the values of its dimensions, and its statistics."""

    dimensions: dict[str, str | int]
    rung: str
    level: str
    cell: Cell


def add(connection: Connection, cells: Mapping[CellKey, Cell]) -> None:
    """Add statistics to what is stored."""
    by_place: dict[tuple[int, int], dict[CellKey, Cell]] = defaultdict(dict)
    for key, cell in cells.items():
        by_place[key.hour, key.processor_id][key] = cell
    rows: list[dict[str, Any]] = []
    for (hour, processor_id), new in by_place.items():
        stored = _stored(connection, hour, processor_id, new.keys())
        for key, cell in new.items():
            merged = stored.get(key, Cell())
            merged.merge(cell)
            rows.append({**key._asdict(), **_columns(merged)})
    if rows:
        statement = insert_or(connection, error_statistic)
        replaced = {name: statement.excluded[name] for name in ("n", "sums", "sketch")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(CellKey._fields), set_=replaced), rows
        )


def query(
    connection: Connection,
    group_by: Sequence[str],
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    device_id: str | None = None,
) -> list[Group]:
    """Return statistics by any of `DIMENSIONS` (and always by rung and level), in order of these values.

    Times are those of the runs' starts, in whole hours.
    """
    statement = _joined()
    if since_us is not None:
        statement = statement.where(error_statistic.c.hour >= since_us // HOUR_US)
    if until_us is not None:
        statement = statement.where(error_statistic.c.hour <= until_us // HOUR_US)
    if device_id is not None:
        statement = statement.where(device.c.device_id == device_id)
    groups: dict[tuple[Any, ...], Cell] = defaultdict(Cell)
    for row in connection.execution_options(yield_per=1000).execute(statement):
        values = {
            "soc": soc_name(row.soc, row.device_id),
            "device": row.device_id,
            "processor": row.processor,
            "condition": row.condition,
            "op_type": row.op_type,
            "model": row.model_name,
            "hour": row.hour,
            "predictor": row.predictor,
        }
        groups[(*(values[name] for name in group_by), row.rung, row.level)].merge(_cell(row))
    return [
        Group(dict(zip(group_by, key[:-2], strict=True)), key[-2], key[-1], cell)
        for key, cell in sorted(groups.items(), key=lambda item: item[0])
    ]


def scored_models(connection: Connection, socs: Collection[str]) -> Iterator[tuple[str, str, ModelName, int]]:
    """Yield SoC, processor name, model and how many of its runs were scored there."""
    for row in _counted(connection, socs, "run", (model.c.name, model.c.digest)):
        yield soc_name(row[0], row[1]), row[2], ModelName(row[3], row[4]), row[5]


def scored_op_types(connection: Connection, socs: Collection[str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield SoC, processor name, operator type and how many of its timings were scored there."""
    for row in _counted(connection, socs, "operator", (error_statistic.c.op_type,)):
        yield soc_name(row[0], row[1]), row[2], row[3], row[4]


def served(connection: Connection, digests: Collection[str], rung: str) -> dict[str, tuple[int, float]]:
    """Return by version how many runs it predicted and their mean absolute percentage error."""
    rows = connection.execute(
        select(error_statistic.c.predictor, error_statistic.c.n, error_statistic.c.sums).where(
            error_statistic.c.level == "run",
            error_statistic.c.rung == rung,
            error_statistic.c.predictor.in_(digests),
        )
    )
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for row in rows:
        own = sums[row.predictor]
        own[0] += row.n
        own[1] += json.loads(row.sums)["ape"]
    return {digest: (int(n), total / n) for digest, (n, total) in sums.items()}


def _counted(
    connection: Connection, socs: Collection[str], level: str, columns: Sequence[ColumnElement[str]]
) -> list[tuple[Any, ...]]:
    """Return rows of SoC, device, processor, these columns, and how often the calm rung was scored."""
    own = (device.c.soc, device.c.device_id, processor.c.name, *columns)
    query = (
        select(*own, func.sum(error_statistic.c.n))
        .join(processor, processor.c.id == error_statistic.c.processor_id)
        .join(device, device.c.id == processor.c.device)
        .join(model, model.c.id == error_statistic.c.model_id)
        .where(error_statistic.c.level == level, error_statistic.c.rung == "calm")
        .where(device.c.soc.in_(socs) | device.c.device_id.in_(socs))
        .group_by(*own)
    )
    return [(*row[:-1], int(row[-1])) for row in connection.execute(query)]


def _joined() -> Any:  # noqa: ANN401
    return (
        select(
            error_statistic,
            processor.c.name.label("processor"),
            device.c.device_id,
            device.c.soc,
            model.c.name.label("model_name"),
        )
        .join(processor, processor.c.id == error_statistic.c.processor_id)
        .join(device, device.c.id == processor.c.device)
        .join(model, model.c.id == error_statistic.c.model_id)
    )


def _stored(
    connection: Connection, hour: int, processor_id: int, keys: Iterable[CellKey]
) -> dict[CellKey, Cell]:
    wanted = set(keys)
    table: Table = error_statistic
    rows = connection.execute(
        select(table).where(
            table.c.hour == hour,
            table.c.processor_id == processor_id,
            table.c.model_id.in_({key.model_id for key in wanted}),
            table.c.predictor.in_({key.predictor for key in wanted}),
        )
    )
    found = {}
    for row in rows:
        key = CellKey(*(getattr(row, name) for name in CellKey._fields))
        if key in wanted:
            found[key] = _cell(row)
    return found


def _cell(row: Any) -> Cell:  # noqa: ANN401
    return Cell(row.n, json.loads(row.sums), kll_floats_sketch.deserialize(bytes(row.sketch)))


def _columns(cell: Cell) -> dict[str, Any]:
    return {"n": cell.n, "sums": json.dumps(cell.sums, sort_keys=True), "sketch": cell.sketch.serialize()}
