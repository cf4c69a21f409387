"""How wrong the offline and the runtime predictor lately were on a device."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.services.error_book import figures
from app.store import reports
from app.store.engine import Connection
from app.store.reports import ErrorFilter
from app.store.rollup_views import HOUR_US
from predictors.forecast import Rung

WINDOW_US = 24 * HOUR_US
KEPT_S = 5.0

SIDES: Mapping[str, Rung] = {"offline": Rung.CALM, "runtime": Rung.RUNTIME}


class RungError(NamedTuple):
    """Whole-run errors of the last day as fractions: over how many runs, mean and median."""

    n: int
    mape: float
    median_ape: float


class RecentError:
    """Reads the last day's errors of a device from the statistics, at most every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, Mapping[str, RungError]]] = {}

    def get(self, connection: Connection, device_id: str) -> Mapping[str, RungError]:
        """Return the errors by side (`offline`, `runtime`); a side without scored runs is absent."""
        known = self._known.get(device_id)
        if known is not None and self._clock() - known[0] < KEPT_S:
            return known[1]
        since_us = time.time_ns() // 1000 - WINDOW_US
        wanted = ErrorFilter(since_us=since_us, device_id=device_id)
        cells = {
            group.rung: figures(group.cell)
            for group in reports.query(connection, (), wanted, limit=1)
            if group.level == "run"
        }
        found = {
            side: RungError(int(cell["n"] or 0), float(cell["mape"] or 0.0), float(cell["median_ape"] or 0.0))
            for side, rung in SIDES.items()
            if (cell := cells.get(rung.value)) is not None
        }
        self._known[device_id] = (self._clock(), found)
        return found
