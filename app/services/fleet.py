"""How the whole fleet stands, for the metrics page: few numbers, cheap enough for every scrape."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.services import report
from app.store import devices
from app.store.engine import Database
from app.store.reports import ErrorFilter
from app.store.rollup_views import HOUR_US

WINDOW_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Standing:
    """Devices known, those set aside, runs not yet learned from, and each rung's errors of the last day.

    Errors are mean absolute percentage errors of whole runs, as fractions.
    """

    devices: int
    quarantined_devices: int
    pending_runs: int
    mape_by_rung: Mapping[str, float]


def standing(database: Database) -> Standing | None:
    """Return how the fleet stands, None when the database does not answer."""
    try:
        with database.read() as connection:
            known, quarantined = devices.count(connection)
        lately = ErrorFilter(since_us=time.time_ns() // 1000 - WINDOW_US)
        recent = report.errors(database, (), lately)
    except Exception:  # noqa: BLE001
        return None
    runs = next((group.rungs for group in recent.groups if group.level == "run"), {})
    errors = {rung: float(figures["mape"] or 0.0) for rung, figures in runs.items()}
    return Standing(known, quarantined, recent.pending_runs, errors)
