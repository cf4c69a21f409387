"""Versions: the newest serves unless one is pinned or rolled back."""

import pytest

from app.errors import ConflictError, NotFoundError
from app.store import versions
from app.store.engine import Database
from predictors.run import PredictorKey

KEY = PredictorKey("Snapdragon 855", "gpu", "onnxruntime")
OTHER = PredictorKey("Snapdragon 855", "cpu:0", "onnxruntime")


def add(database: Database, digest: str, key: PredictorKey = KEY) -> int:
    with database.write() as connection:
        return versions.add(connection, key, digest, digest.encode(), reason="test", metrics={"n": 1})


def active_digest(database: Database) -> str | None:
    with database.read() as connection:
        found = versions.active_ids(connection).get(KEY)
        return None if found is None else versions.get(connection, found).digest


def test_the_newest_serves(database: Database) -> None:
    assert active_digest(database) is None
    first, second = add(database, "a"), add(database, "b")
    add(database, "other", OTHER)
    assert active_digest(database) == "b"
    with database.read() as connection:
        assert versions.content(connection, first) == b"a"
        listed = versions.list_versions(connection, KEY)
        assert [(v.id, v.active, v.metrics) for v in listed] == [
            (second, True, {"n": 1}),
            (first, False, {"n": 1}),
        ]
        assert set(versions.active_ids(connection)) == {KEY, OTHER}


def test_the_same_bytes_again_are_no_new_version(database: Database) -> None:
    assert add(database, "a") == add(database, "a")


def test_a_pinned_version_serves_until_unpinned(database: Database) -> None:
    first = add(database, "a")
    add(database, "b")
    with database.write() as connection:
        versions.pin(connection, first)
    add(database, "c")
    assert active_digest(database) == "a"
    with database.write() as connection:
        versions.unpin(connection, KEY)
    assert active_digest(database) == "c"


def test_rolling_back_serves_the_one_before(database: Database) -> None:
    first, second = add(database, "a"), add(database, "b")
    with database.write() as connection:
        assert versions.roll_back(connection, second).id == first
    assert active_digest(database) == "a"
    with pytest.raises(ConflictError), database.write() as connection:
        versions.roll_back(connection, first)
    assert active_digest(database) == "a"


def test_old_bytes_go_but_a_pinned_version_stays(database: Database) -> None:
    ids = [add(database, "0"), add(database, "1")]
    with database.write() as connection:
        versions.pin(connection, ids[1])
    for number in range(2, versions.KEPT_VERSIONS + 5):
        ids.append(add(database, str(number)))
    with database.read() as connection:
        assert versions.content(connection, ids[1]) == b"1"
        assert versions.content(connection, ids[-1])
        with pytest.raises(NotFoundError):
            versions.content(connection, ids[0])
        assert len(versions.list_versions(connection, KEY)) == len(ids)


def test_an_unknown_version(database: Database) -> None:
    with database.write() as connection, pytest.raises(NotFoundError):
        versions.pin(connection, 17)
