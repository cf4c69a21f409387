"""The journal of learning keeps its order, filters, and tells who was set aside and who came back."""

from app.store import journal
from app.store.engine import Database
from app.store.journal import EventFilter, Kind
from predictors.notices import REFUSED, Notice, Published
from predictors.run import PredictorKey
from predictors.schedule import DRIFT
from predictors.version import PredictorVersion
from tests.batches import batch
from tests.store.test_learning import store

KEY = PredictorKey("Snapdragon 855", "gpu", "onnxruntime")


def test_events_come_back_newest_first_and_by_filter(database: Database) -> None:
    store(database, batch())
    version = PredictorVersion(KEY)
    drift = Notice(DRIFT, version, "errors grew", "mi9-0042", error_before=0.1, error_after=0.4)
    refused = Notice(REFUSED, version, "drift", error_before=0.1, error_after=0.4, held_back_runs=9)
    with database.write() as connection:
        journal.note(connection, drift, 200)
        journal.note(connection, refused, 300)
        journal.version_made(connection, 7, Published(version, "drift", {"trained_runs": 50}), 100)
        journal.changed_by_hand(connection, Kind.PIN, PredictorKey("other", "gpu", "mnn"), 8, "d")
    with database.read() as connection:
        found = journal.list_events(connection, EventFilter(), limit=10)
        assert [event.kind for event in found] == ["pin", "refused_refit", "drift", "version"]
        assert (found[2].device_id, found[2].error_before, found[2].error_after) == ("mi9-0042", 0.1, 0.4)
        assert (found[3].version_id, found[3].trained_runs) == (7, 50)
        after = (found[1].at_us, found[1].id)
        assert journal.list_events(connection, EventFilter(), after=after, limit=1) == [found[2]]
        of_device = journal.list_events(connection, EventFilter(device_id="mi9-0042"), limit=10)
        assert of_device == found[1:]
        between = EventFilter(since_us=200, until_us=300)
        assert journal.list_events(connection, between, limit=10) == [found[2]]
        assert journal.publications(connection, {KEY}) == {KEY: [(found[3].id, version.digest)]}
        assert journal.publications(connection, set()) == {}


def test_devices_set_aside_and_let_back_in(database: Database) -> None:
    with database.write() as connection:
        journal.set_aside(connection, {KEY: ("liar", "thief")}, {"liar"}, 100)
        journal.set_aside(connection, {KEY: ("thief",)}, {"liar", "thief"}, 200)
    with database.read() as connection:
        found = journal.list_events(connection, EventFilter(), limit=10)
    assert [(event.kind, event.device_id) for event in found] == [
        ("release", "liar"),
        ("quarantine", "thief"),
    ]
