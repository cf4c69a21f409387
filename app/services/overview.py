"""The state of everything at one glance."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from app.services import error_views
from app.services.error_views import Distribution, ErrorView, Groups
from app.services.learn import LEARNER
from app.store import devices, learning, overview, versions
from app.store.devices import DeviceInfo
from app.store.engine import Database
from app.store.overview import RATE_WINDOW_US, Totals
from app.store.reports import EVERYTHING
from app.store.versions import VersionInfo
from predictors.schedule import DRIFT

SHOWN_DEVICES = 8
SHOWN_DRIFTS = 8


@dataclass(frozen=True, slots=True)
class Overview:
    """Totals, errors by hour and by condition of the newest week with runs, newest drifts and devices.

    `pending_runs` are stored but not scored yet; `serving` counts predictors that serve.
    """

    totals: Totals
    pending_runs: int
    serving: int
    by_hour: Groups
    by_condition: Groups
    overall: Mapping[str, Distribution]
    drifts: Sequence[VersionInfo]
    devices: Sequence[DeviceInfo]

    @property
    def runs_per_s(self) -> float:
        """Runs received a second, over the last minute."""
        return self.totals.recent_runs / (RATE_WINDOW_US / 1e6)


def get(database: Database) -> Overview:
    """Return the overview."""
    with database.read() as connection:
        known = versions.list_versions(connection)
        newest = devices.list_by_last_seen(connection, SHOWN_DEVICES)
        week = error_views.newest_week(connection, EVERYTHING)
        errors = ErrorView(connection, week, ("hour", "condition"))
        return Overview(
            totals=overview.totals(connection),
            pending_runs=learning.pending(connection, LEARNER),
            serving=sum(version.active for version in known),
            by_hour=errors.by("hour"),
            by_condition=errors.by("condition"),
            overall=errors.overall,
            drifts=[version for version in known if version.reason == DRIFT][:SHOWN_DRIFTS],
            devices=newest,
        )


def moved(database: Database) -> Hashable:
    """Return what changes whenever something was stored, scored or published: cheap enough to ask often."""
    with database.read() as connection:
        counted = overview.totals(connection)
        cursor = learning.cursor(connection, LEARNER)
        return counted, cursor, frozenset(versions.active_ids(connection).values())
