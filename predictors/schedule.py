"""When the slow clock works: at a drift, after enough new runs, and in small steps between."""

from dataclasses import dataclass

ENOUGH = "enough new runs"
DRIFT = "drift"
APPENDED = "newest runs"
FULL = "cap on appended trees"
RESTART = "restart"


@dataclass(frozen=True)
class Schedule:
    """When and on how much the slow clock works, in runs.

    Rebuilds come after a `growth` of what was learned, but no sooner than `least_new_runs` and no later than
    `most_new_runs`; between them, trees are appended after each `append_after` where that is better by more
    than `append_margin` standard errors. Without a calibration the first `offline_runs` give the calm
    profile, of each network the `quiet_share` that its context calls quietest. The frozen rungs are fitted
    once, after `frozen_after_runs`.
    """

    growth: float = 0.25
    least_new_runs: int = 10
    most_new_runs: int = 300
    append_after: int = 60
    append_margin: float = 3.0
    buffer_runs: int = 20_000
    offline_runs: int = 60
    quiet_share: float = 0.5
    frozen_after_runs: int = 200


class Agenda:
    """Counts the runs of one key, and says which fit they make due.

    `live` are runs beyond the calm profile; `new` came since the last rebuild, `untried` since any fit.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.live = 0
        self.new = 0
        self.untried = 0
        self.drifted = False

    def count(self, *, calm: bool) -> None:
        """Count one run learned."""
        self.live += not calm
        self.new += 1
        self.untried += 1

    def tried(self) -> None:
        """Trees were appended, or were not worth it."""
        self.untried = 0

    def rebuilt(self) -> None:
        """Everything was fitted anew: what was noticed before is answered."""
        self.new, self.untried, self.drifted = 0, 0, False

    @property
    def due(self) -> str | None:
        """Why a fit is due, None while it is not."""
        schedule = self._schedule
        if self.drifted and self.new >= schedule.least_new_runs:
            return DRIFT
        wanted = min(max(schedule.growth * self.live, schedule.least_new_runs), schedule.most_new_runs)
        if self.live and self.new >= wanted:
            return ENOUGH
        return APPENDED if self.live and self.untried >= schedule.append_after else None
