"""The serving version of every predictor, in memory: it follows the store within half a second."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.store import versions
from app.store.engine import Connection
from predictors.run import PredictorKey
from predictors.version import PredictorVersion

log = structlog.get_logger(__name__)

REFRESH_S = 0.5


@dataclass(frozen=True, slots=True)
class Serving:
    """A version that serves its key, and its number in the store."""

    id: int
    version: PredictorVersion


class Shelf:
    """Parsed predictor versions by key; once there are any, the store is asked at most every `REFRESH_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._serving: dict[PredictorKey, Serving] = {}
        self._checked_at = float("-inf")
        self._lock = threading.Lock()

    def get(self, connection: Connection, key: PredictorKey) -> Serving | None:
        """Return what serves `key`, None when nothing was learned for it yet."""
        self._refresh(connection)
        return self._serving.get(key)

    def all(self, connection: Connection) -> dict[PredictorKey, Serving]:
        """Return what serves, by key."""
        self._refresh(connection)
        return dict(self._serving)

    def _refresh(self, connection: Connection) -> None:
        with self._lock:
            if self._serving and self._clock() - self._checked_at < REFRESH_S:
                return
            # Each transaction of measurements asks, long before there is anything to serve.
            wanted = versions.active_ids(connection) if versions.any_stored(connection) else {}
            serving = {}
            for key, number in wanted.items():
                known = self._serving.get(key)
                loaded = known if known is not None and known.id == number else _load(connection, number)
                if loaded is not None:
                    serving[key] = loaded
            self._serving = serving
            self._checked_at = self._clock()


def _load(connection: Connection, number: int) -> Serving | None:
    """Return a parsed version; one that another release wrote is left out until it is fitted anew."""
    try:
        return Serving(number, PredictorVersion.from_bytes(versions.content(connection, number)))
    except ValueError as error:
        log.warning("version_unreadable", version=number, error=str(error))
        return None
