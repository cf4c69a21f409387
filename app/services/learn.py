"""The slow clock: predict each new run before learning from it, book the errors, publish versions."""

import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain

import structlog

from app.services.error_book import book
from app.store import devices, journal, learning, rollups, versions
from app.store.engine import Connection, Database
from app.store.rollup_views import HOUR_US
from app.store.statistic import Cell
from predictors.evaluate import Scored, TestThenTrain
from predictors.notices import Notice, Published
from predictors.version import PredictorVersion

log = structlog.get_logger(__name__)

LEARNER = "default"
"""Name under which the cursor is kept."""

RUNS_A_STEP = 200
RESUMED_RUNS = 6_000
"""Newest learned runs that a restarted learner reads again, to have its buffers back."""


class Learning:
    """Drives one test-then-train engine over the stored runs, in the order of their receipt.

    What a step learned and how far it came are stored in one transaction, so a restart goes on from there.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = learning.RunReader()
        self._published: list[tuple[Published, int]] = []
        self._noticed: list[tuple[Notice, int]] = []
        self._run_at_us = 0
        self._tidied_at_hour = time.time_ns() // 1000 // HOUR_US
        with database.read() as connection:
            self._cursor = learning.cursor(connection, LEARNER)
            stored = [versions.content(connection, n) for n in versions.active_ids(connection).values()]
            recent = self._reader.before(connection, self._cursor, RESUMED_RUNS)
        serving = _readable(stored)
        self._engine = TestThenTrain(
            versions=serving,
            on_publish=lambda version, reason, metrics: self._published.append(
                (Published(version, reason, metrics), self._run_at_us)
            ),
            on_notice=lambda notice: self._noticed.append((notice, self._run_at_us)),
        )
        self._run_at_us = max((record.run.query.started_at_us for record in recent), default=0)
        self._engine.resume([record.run for record in recent])
        served = {version.key for version in serving}
        self._resumed = [item for item in self._published if item[0].version.key in served]
        """What a restart fitted again: stored with the next news, so that restarts alone make no versions."""
        self._published = [item for item in self._published if item[0].version.key not in served]
        self._quarantined: frozenset[str] | None = None

    def step(self) -> int:
        """Score and learn from the next stored runs; return how many there were."""
        self._tidy()
        with self._database.read() as connection:
            records = self._reader.after(connection, self._cursor, RUNS_A_STEP)
        if not records:
            return self._rest()
        self._published, self._resumed = self._resumed + self._published, []
        cells: dict[rollups.CellKey, Cell] = defaultdict(Cell)
        for record in sorted(records, key=lambda item: item.run.query.started_at_us):
            scored = self._score(record)
            if scored is not None and self._counts(scored):
                book(cells, record, scored)
        self._store(cells, records[-1].id)
        return len(records)

    def _rest(self) -> int:
        """Learn from the newest runs too, which waited for later ones: all that is stored has ended."""
        self._engine.flush()
        if self._published or self._noticed:
            self._store({}, self._cursor)
        return 0

    def _store(self, cells: Mapping[rollups.CellKey, Cell], cursor: int) -> None:
        """Store in one transaction what was booked, noticed and learned, and how far the learner came."""
        with self._database.write() as connection:
            rollups.add(connection, cells)
            for notice, at_us in self._noticed:
                journal.note(connection, notice, at_us)
            for made, at_us in self._published:
                number = versions.add(
                    connection,
                    made.version.key,
                    made.version.digest,
                    made.version.to_bytes(),
                    reason=made.reason,
                    metrics=made.metrics,
                )
                journal.version_made(connection, number, made, at_us)
            learning.set_cursor(connection, LEARNER, cursor)
            self._set_aside(connection)
        self._cursor = cursor
        for made, _ in self._published:
            log.info(
                "version_published",
                key=str(made.version.key),
                digest=made.version.digest[:12],
                reason=made.reason,
            )
        self._published.clear()
        self._noticed.clear()

    def _tidy(self) -> None:
        """Once an hour, forget statistics that are finer than old ones need to be."""
        hour = time.time_ns() // 1000 // HOUR_US
        if hour > self._tidied_at_hour:
            self._tidied_at_hour = hour
            with self._database.write() as connection:
                dropped = rollups.forget_fine(connection, hour)
            if dropped:
                log.info("fine_statistics_forgotten", rows=dropped)

    def _set_aside(self, connection: Connection) -> None:
        """Store which devices cannot be telling the truth, when that changed."""
        by_key = self._engine.quarantined()
        found = frozenset(chain.from_iterable(by_key.values()))
        if found != self._quarantined:
            before = devices.quarantined(connection)
            devices.quarantine(connection, found)
            journal.set_aside(connection, by_key, before, self._run_at_us)
            self._quarantined = found

    def _counts(self, scored: Scored) -> bool:
        """Whether a run tells anything of a predictor.

        One had been learned, not from this very run, and the device can be telling the truth.
        """
        query = scored.query
        learned = self._engine.version(query.key).trained_runs > 0
        return learned and not query.calibration and not self._engine.sets_aside(query.device_id)

    def _score(self, record: learning.RecordedRun) -> Scored | None:
        """Score one run; one that cannot be is passed over, and the last good versions go on serving."""
        self._run_at_us = record.run.query.started_at_us
        try:
            return self._engine.step(record.run)
        except Exception:
            log.exception("run_not_learned", run_id=record.run.run_id)
            return None


def _readable(contents: list[bytes]) -> list[PredictorVersion]:
    found = []
    for data in contents:
        try:
            found.append(PredictorVersion.from_bytes(data))
        except ValueError as error:
            log.warning("version_unreadable", error=str(error))
    return found
