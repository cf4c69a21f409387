"""What was looked up may be used again until anything is committed, and no longer."""

import pytest
from fastapi.testclient import TestClient

from app.services.kernels import KernelCache
from app.services.shelf import REFRESH_S, Shelf
from app.services.situations import Situations, Subject
from app.store import states
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.snapshots import Snapshots

SUBJECT = Subject(phone.PROCESSOR, device_id=phone.DEVICE_ID, digest=phone.digest("middle"))


class Clock:
    """Seconds that pass only when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def situations(client: TestClient, database: Database, snapshots: Snapshots, clock: Clock) -> Situations:
    def fill() -> None:
        send(client, phone.session(calm_runs=30, loaded_runs=5))
        learn_all(database)

    snapshots.fill(database, "shortly_learned_phone", fill)
    return Situations(database, Shelf(clock), KernelCache(clock), clock)


def test_nothing_is_at_hand_before_it_was_looked_up(situations: Situations) -> None:
    assert situations.at_hand(SUBJECT) is None


def test_what_was_looked_up_is_at_hand_until_a_commit(database: Database, situations: Situations) -> None:
    found = situations.look_up(SUBJECT)
    assert [kernel.op_type for kernel in found.kernels] == ["Conv"] * 3
    if database.dialect == "sqlite":
        assert situations.at_hand(SUBJECT) is found
    with database.write() as connection:
        states.put_many(connection, {found.place.info.id: "{}"})
    assert situations.at_hand(SUBJECT) is None


def test_it_expires_with_the_shelf_of_versions(situations: Situations, clock: Clock) -> None:
    situations.look_up(SUBJECT)
    clock.now_s += REFRESH_S
    assert situations.at_hand(SUBJECT) is None
