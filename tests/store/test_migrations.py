"""Migrations make exactly the tables of the code, and go down again with data in them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from datasketches import kll_floats_sketch
from sqlalchemy import inspect, text

from app.errors import UnavailableError
from app.services import upkeep
from app.services.database import open_migrated
from app.services.prepare import prepare
from app.settings import Settings
from app.store import migrate, reports
from app.store.engine import Database, DatabaseUrlError
from app.store.measurements import MeasurementWriter, StoredRun
from app.store.tables import metadata
from tests.batches import batch, run, transfer
from tests.conftest import WORKER
from tests.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgresql"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'blank.db'}"
    else:
        url = fresh_database(request.getfixturevalue("postgres_server"), f"socast_blank_{WORKER}")
    database = Database(url)
    yield database
    database.dispose()


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_they_make_what_the_code_declares(blank: Database) -> None:
    migrate.upgrade(blank)
    assert tables(blank) == set(metadata.tables)
    with blank.read() as connection:
        # Only what the other database has instead may differ: a key here, a block-range index there.
        differences = [
            difference
            for difference in compare_metadata(MigrationContext.configure(connection), metadata)
            if "ix_timing_run_id" not in repr(difference)
        ]
    assert differences == []


def test_down_and_up_again_with_data(blank: Database) -> None:
    body = json.dumps(batch(run(), run(ran_on=["gpu", "cpu", "gpu"]), transfers=[transfer()])).encode()
    for _ in range(2):
        migrate.upgrade(blank)
        with blank.write() as connection:
            stored = MeasurementWriter(blank.dialect).store(connection, [prepare(body)[0]])
        assert stored[0].runs == 2
        assert upkeep.check(blank) == migrate.head()
        migrate.downgrade(blank, "base")
        assert tables(blank) == set()


def test_upgrading_twice_changes_nothing(blank: Database) -> None:
    assert upkeep.upgrade(blank) == upkeep.Upgraded(None, migrate.head())
    assert upkeep.upgrade(blank) == upkeep.Upgraded(migrate.head(), migrate.head())


def test_a_failing_migration_leaves_nothing(blank: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "tables", metadata.tables)
    with blank.write() as connection:
        connection.execute(text("CREATE TABLE plan (x INTEGER)"))
    with pytest.raises(Exception, match="plan"):
        migrate.upgrade(blank)
    assert tables(blank) == {"plan"}


def test_only_an_embedded_database_migrates_itself(blank: Database) -> None:
    settings = Settings(database=blank.url.render_as_string(hide_password=False))
    if blank.dialect == "sqlite":
        open_migrated(settings).dispose()
        assert tables(blank) == set(metadata.tables)
    else:
        with pytest.raises(UnavailableError, match="socast db upgrade"):
            open_migrated(settings)


def test_an_unmigrated_database_is_unhealthy(blank: Database) -> None:
    with pytest.raises(upkeep.UnhealthyDatabaseError, match="socast db upgrade"):
        upkeep.check(blank)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_unusable_urls(url: str) -> None:
    with pytest.raises(DatabaseUrlError):
        Database(url)


def test_statistics_of_an_earlier_release_are_carried_over(blank: Database) -> None:
    migrate.upgrade(blank, "0004")
    sketch = kll_floats_sketch(100)
    sketch.update(np.array([0.1, 0.2, 0.3]))
    with blank.write() as connection:
        seen: list[StoredRun] = []
        writer = MeasurementWriter(blank.dialect, on_runs=lambda _connection, runs: seen.extend(runs))
        writer.store(connection, [prepare(json.dumps(batch(run())).encode())[0]])
        connection.execute(
            text(
                "INSERT INTO error_statistic (hour, processor_id, condition, model_id, op_type, rung, level,"
                " predictor, n, sums, sketch)"
                " VALUES (476000, :processor, 's1', 1, '', 'calm', 'run', 'd', 3, :sums, :sketch)"
            ),
            {
                "processor": seen[0].processor_id,
                "sums": json.dumps({"ape": 0.6}),
                "sketch": sketch.serialize(),
            },
        )
    migrate.upgrade(blank)
    with blank.read() as connection:
        (group,) = reports.query(connection, ("condition", "predictor"))
    assert (group.values, group.rung, group.cell.n) == (("s1", "d"), "calm", 3)
    assert group.cell.sums == {"ape": 0.6}
    assert group.cell.sketch.get_quantile(0.5) == pytest.approx(0.2)
