"""Which runs show a processor calm, where nobody hands over a calibration trace."""

from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil

from predictors.run import Run

LABELLED = "labelled calibration"
QUIETEST = "quietest early runs"
FIRST = "first runs"
TRACE = "calibration trace"

_DISTURBANCE = ("cpu_pressure", "memory_pressure", "processor_utilization", "cpu_utilization")
_MOST_LABELLED = 5_000
_FEW_RUNS = 8


@dataclass
class CalmGathering:
    """Gathers one key's early runs until they suffice for its calm profile.

    Runs that an agent labelled as its calibration count, all of them until its first other run. Where the
    first run is not labelled, the `share` of quietest runs of each network among the first `enough`.
    """

    enough: int
    share: float
    runs: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> bool:
        """Take one run in; return whether it ends the gathering without belonging to it."""
        if self.labelled and not run.query.calibration:
            return True
        self.runs.append(run)
        return False

    @property
    def labelled(self) -> bool:
        """Whether the agent labels its calibration."""
        return bool(self.runs) and self.runs[0].query.calibration

    @property
    def complete(self) -> bool:
        """Whether enough was gathered."""
        return len(self.runs) >= (_MOST_LABELLED if self.labelled else self.enough)

    @property
    def telling(self) -> bool:
        """Whether the newest run makes a new profile worth its time: a network's first, or a doubling."""
        count, newest = len(self.runs), self.runs[-1].query.model
        if count >= _FEW_RUNS:
            return count & (count - 1) == 0
        return all(run.query.model != newest for run in self.runs[:-1])

    @property
    def source(self) -> str:
        """How the calm runs were told apart, for reports."""
        if self.labelled:
            return LABELLED
        return FIRST if self.share >= 1.0 else QUIETEST

    def calm_runs(self) -> list[Run]:
        """Return the runs to fit the calm profile on, in order."""
        if self.source != QUIETEST:
            return list(self.runs)
        by_network: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for place, run in enumerate(self.runs):
            by_network[run.query.model, run.query.profiled].append(place)
        kept: list[int] = []
        for places in by_network.values():
            quiet = sorted(places, key=lambda place: (_disturbance(self.runs[place]), place))
            kept += quiet[: ceil(len(quiet) * self.share)]
        return [self.runs[place] for place in sorted(kept)]


def _disturbance(run: Run) -> float:
    values = [run.query.context[name] for name in _DISTURBANCE if name in run.query.context]
    return sum(values) / len(values) if values else 0.0
