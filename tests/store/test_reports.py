"""Rollups tell what one pass over every single prediction would tell, however they are asked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.errors import InvalidRequestError
from app.store import reports, rollups, scored
from app.store.engine import Database
from app.store.reports import DIMENSIONS, ErrorFilter, Group
from app.store.rollup_views import HOUR_US
from app.store.rollups import CellKey
from app.store.statistic import RUNGS, Cell
from app.store.tables import model as model_table
from tests.batches import batch, run
from tests.snapshots import Snapshots
from tests.store.test_learning import store

HOURS = (476_000, 476_001, 476_030, 476_700, 477_460)
"""Of three months, some on one day."""

RANK_ERROR = 0.04
"""Of a sketch of this size at 99 % confidence: twice its documented single-sided 2 % and rounding."""


@dataclass(frozen=True)
class Raw:
    """One prediction of one rung as it was made."""

    place: Mapping[str, Any]
    level: str
    rung: str
    ape: float


@pytest.fixture
def filled(database: Database, snapshots: Snapshots) -> tuple[Database, list[Raw]]:
    """A database with predictions, and each of them."""
    return database, snapshots.fill(database, "rollups", lambda: fill(database))


def fill(database: Database) -> list[Raw]:
    """Store predictions of three devices with two SoCs, added in four steps; return them."""
    bodies = [
        batch(
            run(processor=name, model={"name": model, "digest": f"sha256:{number:064x}"}),
            device={"device_id": device_id, "soc": soc},
        )
        for device_id, soc in (("a", "S1"), ("b", "S1"), ("c", "S2"))
        for name in ("cpu", "gpu")
        for number, model in enumerate(("m0", "m1"))
    ]
    stored = store(database, *bodies)
    names = [(b["device"]["soc"], b["device"]["device_id"], b["runs"][0]["processor"]) for b in bodies]
    processors = {item.processor_id: name for item, name in zip(stored, names, strict=True)}
    with database.read() as connection:
        models = {row.id: row.name for row in connection.execute(select(model_table))}
    rng = np.random.default_rng(1)
    raw: list[Raw] = []
    for _ in range(4):
        cells: dict[CellKey, Cell] = defaultdict(Cell)
        for _ in range(60):
            hour, processor_id = int(rng.choice(HOURS)), int(rng.choice(list(processors)))
            model_id, condition = int(rng.choice(list(models))), str(rng.choice(["", "s0", "s1"]))
            for level, op_type in (("run", ""), ("operator", "Conv"), ("operator", "Relu")):
                predictor = f"v{rng.integers(3)}" if level == "run" else ""
                soc, device, name = processors[processor_id]
                place = dict(
                    zip(
                        DIMENSIONS,
                        (soc, device, name, condition, op_type, models[model_id], hour, predictor),
                        strict=True,
                    )
                )
                for rung in RUNGS:
                    error = float(rng.lognormal(-2.0, 1.0))
                    key = CellKey(
                        hour,
                        processor_id,
                        condition,
                        model_id,
                        op_type,
                        rung,
                        level,
                        predictor,  # type: ignore[arg-type]
                    )
                    terms = {"ape": error, "squared_pe": error**2}
                    cells[key].add(np.array([error]), terms | ({"covered": 1.0} if level == "run" else {}))
                    raw.append(Raw(place, level, rung, error))
        with database.write() as connection:
            rollups.add(connection, cells)
    return raw


def recount(raw: Sequence[Raw], group_by: Sequence[str]) -> dict[tuple[Any, ...], list[float]]:
    found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for item in raw:
        found[item.level, tuple(item.place[name] for name in group_by), item.rung].append(item.ape)
    return found


def agrees(groups: Sequence[Group], expected: Mapping[tuple[Any, ...], list[float]]) -> None:
    told = {(group.level, group.values, group.rung): group.cell for group in groups}
    assert told.keys() == expected.keys()
    for key, errors in expected.items():
        cell = told[key]
        assert cell.n == len(errors)
        assert cell.sums["ape"] == pytest.approx(sum(errors), rel=1e-12)
        assert cell.sums["squared_pe"] == pytest.approx(sum(error**2 for error in errors), rel=1e-12)
        assert ("covered" in cell.sums) == (key[0] == "run")
        median = cell.sketch.get_quantile(0.5)
        below = (
            np.mean(np.array(errors) < median * (1 - 1e-6)),
            np.mean(np.array(errors) <= median * (1 + 1e-6)),
        )
        assert below[0] - RANK_ERROR <= 0.5 <= below[1] + RANK_ERROR


def test_any_grouping_equals_a_recount(filled: tuple[Database, list[Raw]]) -> None:
    database, raw = filled
    every = [names for count in range(3) for names in combinations(DIMENSIONS, count)]
    with database.read() as connection:
        for group_by in [*every, DIMENSIONS, DIMENSIONS[::-1]]:
            groups = reports.query(connection, group_by)
            agrees(groups, recount(raw, group_by))
            order = [(group.level != "run", group.values) for group in groups]
            assert order == sorted(order)


FILTERS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"device_id": "a"}, {"device": "a"}),
    ({"soc": "S1", "processor": "gpu"}, {"soc": "S1", "processor": "gpu"}),
    ({"condition": ""}, {"condition": ""}),
    ({"model": f"sha256:{1:064x}", "condition": "s0"}, {"model": "m1", "condition": "s0"}),
    ({"op_type": "Conv", "model": "m1"}, {"op_type": "Conv", "model": "m1"}),
    ({"op_type": "Conv", "device_id": "b"}, {"op_type": "Conv", "device": "b"}),
    ({"device_id": "nobody"}, {"device": "nobody"}),
]


def test_filters_let_through_what_they_say(filled: tuple[Database, list[Raw]]) -> None:
    database, raw = filled
    with database.read() as connection:
        for wanted, holds in FILTERS:
            kept = [item for item in raw if all(item.place[name] == value for name, value in holds.items())]
            for group_by in ((), ("hour", "device"), ("model", "op_type", "soc")):
                agrees(reports.query(connection, group_by, ErrorFilter(**wanted)), recount(kept, group_by))


def test_ranges_are_whole_hours_wherever_they_begin(filled: tuple[Database, list[Raw]]) -> None:
    database, raw = filled
    edges = [HOURS[0] - 5, HOURS[1], HOURS[2] + 3, HOURS[3], HOURS[-1] + 5]
    with database.read() as connection:
        for first in edges:
            for end in edges:
                if first >= end:
                    continue
                wanted = ErrorFilter(since_us=first * HOUR_US + 5, until_us=end * HOUR_US - 5)
                kept = [item for item in raw if first <= item.place["hour"] < end]
                agrees(reports.query(connection, ("processor",), wanted), recount(kept, ("processor",)))


def test_pages_follow_one_another(
    filled: tuple[Database, list[Raw]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = filled
    monkeypatch.setattr(reports, "ROWS_AT_ONCE", 20)
    with database.read() as connection:
        for group_by in (("device", "condition"), ("hour", "model"), ("model", "op_type"), ("predictor",)):
            whole = reports.query(connection, group_by)
            pages: list[Group] = []
            after = None
            while page := reports.query(connection, group_by, after=after, limit=3):
                assert len(page) <= 3 * len(RUNGS)
                pages += page
                after = (page[-1].level, page[-1].values)
            assert [(g.level, g.values, g.rung) for g in pages] == [
                (g.level, g.values, g.rung) for g in whole
            ]
            assert [g.cell.n for g in pages] == [g.cell.n for g in whole]


def test_old_fine_rows_are_forgotten_and_the_rest_still_told(
    filled: tuple[Database, list[Raw]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, raw = filled
    with database.write() as connection:
        assert rollups.forget_fine(connection, HOURS[-1]) == 0
    monkeypatch.setattr(rollups, "MANY_FINE_ROWS", 0)
    with database.write() as connection:
        assert rollups.forget_fine(connection, HOURS[-1]) > 0
    with database.read() as connection:
        for group_by in (("device", "condition", "model", "op_type"), ("hour", "condition"), ("predictor",)):
            agrees(reports.query(connection, group_by), recount(raw, group_by))
        with pytest.raises(InvalidRequestError, match="kept from"):
            reports.query(connection, ("hour", "condition", "model", "device"))
        newest = ErrorFilter(since_us=HOURS[-1] * HOUR_US)
        kept = [item for item in raw if item.place["hour"] == HOURS[-1]]
        agrees(
            reports.query(connection, ("hour", "condition", "model", "device"), newest),
            recount(kept, ("hour", "condition", "model", "device")),
        )


def test_versions_tell_what_they_served(filled: tuple[Database, list[Raw]]) -> None:
    database, raw = filled
    own = [item.ape for item in raw if item.place["predictor"] == "v1" and item.rung == "runtime"]
    with database.read() as connection:
        found = scored.versions(connection, {"v1", "unknown"}, "runtime")
    assert found.keys() == {"v1"}
    assert found["v1"][0] == len(own)
    assert found["v1"][1] == pytest.approx(np.mean(own))


def test_nothing_to_add(database: Database) -> None:
    with database.write() as connection:
        rollups.add(connection, {})
    with database.read() as connection:
        assert reports.query(connection, DIMENSIONS) == []
        assert reports.query(connection, (), limit=5) == []
