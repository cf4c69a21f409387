"""What befell the predictors over time: drifts, refits, versions, devices set aside, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.services import cursors
from app.services.table_files import MOMENT, NUMBER, TEXT, WHOLE, TableFile
from app.services.times import moment, ordered
from app.store import journal, scored
from app.store.engine import Connection, Database
from app.store.journal import Event, EventFilter
from predictors.forecast import Rung

PORTION = 1_000


@dataclass(frozen=True, slots=True)
class DriftEntry:
    """An event and what came after it.

    `runs_since` counts the runs scored by versions published at or after the event, `served_runs` those
    scored by the very version it made, `served_mape` their mean error as a fraction (None without any).
    """

    event: Event
    runs_since: int | None
    served_runs: int | None
    served_mape: float | None


@dataclass(frozen=True, slots=True)
class DriftPage:
    """Events newest first; `next` is the cursor of the following page."""

    entries: Sequence[DriftEntry]
    next: str | None


COLUMNS = {
    "at": MOMENT,
    "recorded_at": MOMENT,
    "kind": TEXT,
    "soc": TEXT,
    "processor": TEXT,
    "framework": TEXT,
    "device": TEXT,
    "version": WHOLE,
    "predictor": TEXT,
    "trigger": TEXT,
    "error_before": NUMBER,
    "error_after": NUMBER,
    "held_back_runs": WHOLE,
    "trained_runs": WHOLE,
    "runs_since": WHOLE,
    "served_runs": WHOLE,
    "served_mape": NUMBER,
}


def page(
    database: Database, wanted: EventFilter, *, cursor: str | None = None, limit: int = 100
) -> DriftPage:
    """Return events, newest first; raise `InvalidRequestError` for a reversed range or a foreign cursor."""
    ordered(wanted.since_us, wanted.until_us)
    after = None
    if cursor is not None:
        at_us, number = cursors.read(cursor, int, int)
        after = (int(at_us), int(number))
    with database.read() as connection:
        found = journal.list_events(connection, wanted, after=after, limit=limit + 1)
        entries = _entries(connection, found[:limit])
    last = found[limit - 1] if len(found) > limit else None
    return DriftPage(entries, None if last is None else cursors.write(last.at_us, last.id))


def table(database: Database, wanted: EventFilter) -> TableFile:
    """Return the whole report as a table of `COLUMNS`."""
    first = page(database, wanted, limit=PORTION)

    def portions() -> Iterator[list[dict[str, object]]]:
        current = first
        while True:
            yield [row(entry) for entry in current.entries]
            if current.next is None:
                return
            current = page(database, wanted, cursor=current.next, limit=PORTION)

    return TableFile(COLUMNS, portions())


def row(entry: DriftEntry) -> dict[str, object]:
    """Return an entry by the names of `COLUMNS`."""
    event = entry.event
    return {
        "at": moment(event.at_us),
        "recorded_at": moment(event.recorded_at_us),
        "kind": event.kind,
        "soc": event.key.soc,
        "processor": event.key.processor,
        "framework": event.key.framework,
        "device": event.device_id,
        "version": event.version_id,
        "predictor": event.predictor,
        "trigger": event.trigger,
        "error_before": event.error_before,
        "error_after": event.error_after,
        "held_back_runs": event.held_back_runs,
        "trained_runs": event.trained_runs,
        "runs_since": entry.runs_since,
        "served_runs": entry.served_runs,
        "served_mape": entry.served_mape,
    }


def _entries(connection: Connection, events: Sequence[Event]) -> list[DriftEntry]:
    published = journal.publications(connection, {event.key for event in events if event.key.soc})
    digests = {digest for versions in published.values() for _, digest in versions}
    served = scored.versions(connection, digests, Rung.RUNTIME.value)
    return [_entry(event, published.get(event.key), served) for event in events]


def _entry(
    event: Event, published: Sequence[tuple[int, str]] | None, served: Mapping[str, tuple[int, float]]
) -> DriftEntry:
    if published is None:
        return DriftEntry(event, None, None, None)
    later = {digest for number, digest in published if number >= event.id}
    since = sum(served[digest][0] for digest in later if digest in served)
    if event.kind != journal.Kind.VERSION:
        return DriftEntry(event, since, None, None)
    runs, mape = served.get(event.predictor, (0, None))
    return DriftEntry(event, since, runs, mape)
