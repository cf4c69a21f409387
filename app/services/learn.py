"""The slow clock: predict each new run before learning from it, book the errors, publish versions."""

from collections import defaultdict
from itertools import chain
from typing import Any

import structlog

from app.services.error_book import book
from app.store import devices, learning, reports, versions
from app.store.engine import Connection, Database
from predictors.evaluate import Scored, TestThenTrain
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
        self._published: list[tuple[PredictorVersion, str, dict[str, Any]]] = []
        with database.read() as connection:
            self._cursor = learning.cursor(connection, LEARNER)
            serving = [versions.content(connection, n) for n in versions.active_ids(connection).values()]
            recent = self._reader.before(connection, self._cursor, RESUMED_RUNS)
        self._engine = TestThenTrain(
            versions=_readable(serving),
            on_publish=lambda version, reason, metrics: self._published.append((version, reason, metrics)),
        )
        self._engine.resume([record.run for record in recent])
        self._published.clear()
        self._quarantined: frozenset[str] | None = None

    def step(self) -> int:
        """Score and learn from the next stored runs; return how many there were."""
        with self._database.read() as connection:
            records = self._reader.after(connection, self._cursor, RUNS_A_STEP)
        if not records:
            return 0
        cells: dict[reports.CellKey, reports.Cell] = defaultdict(reports.Cell)
        for record in sorted(records, key=lambda item: item.run.query.started_at_us):
            scored = self._score(record)
            if scored is not None and self._counts(scored):
                book(cells, record, scored)
        with self._database.write() as connection:
            reports.add(connection, cells)
            for version, reason, metrics in self._published:
                versions.add(
                    connection,
                    version.key,
                    version.digest,
                    version.to_bytes(),
                    reason=reason,
                    metrics=metrics,
                )
            learning.set_cursor(connection, LEARNER, records[-1].id)
            self._set_aside(connection)
        self._cursor = records[-1].id
        for version, reason, _ in self._published:
            log.info("version_published", key=str(version.key), digest=version.digest[:12], reason=reason)
        self._published.clear()
        return len(records)

    def _set_aside(self, connection: Connection) -> None:
        """Store which devices cannot be telling the truth, when that changed."""
        found = frozenset(chain.from_iterable(self._engine.quarantined().values()))
        if found != self._quarantined:
            devices.quarantine(connection, found)
            self._quarantined = found

    def _counts(self, scored: Scored) -> bool:
        """Whether a run tells anything of a predictor: one had been learned, and not from this very run."""
        return self._engine.version(scored.query.key).trained_runs > 0 and not scored.query.calibration

    def _score(self, record: learning.RecordedRun) -> Scored | None:
        """Score one run; one that cannot be is passed over, and the last good versions go on serving."""
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
