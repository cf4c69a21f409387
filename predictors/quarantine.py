"""Devices that cannot be telling the truth: seen by how far they stand from the others of their key.

A device is suspect when its runs are longer or shorter than its peers' by a factor that no condition
explains. What it sends still moves its own fast state; no version learns from it until its newest runs stand
among its peers' again.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from math import log

import numpy as np

from predictors.operator_model import FLOOR_US
from predictors.run import Run

SUSPICIOUS_LOG = log(4.0)
"""Conditions stretch runs by less than this against the peers' median."""

_NEWEST = 20
_PROBATION_RUNS = 5
_LEAST_PEERS = 2


class Reputation:
    """Judges the devices of one key by the median of their newest residuals, log(total / calm)."""

    def __init__(self) -> None:
        self._residuals: dict[str, deque[float]] = {}
        self._medians: dict[str, float] = {}

    def note(self, device_id: str, residual: float) -> None:
        """Take a device's newest residual in."""
        newest = self._residuals.setdefault(device_id, deque(maxlen=_NEWEST))
        newest.append(residual)
        self._medians[device_id] = float(np.median(newest))

    def trusted(self, device_id: str) -> bool:
        """Return whether a version may learn from a device: it has no peers, or stands among them."""
        peers = [median for other, median in self._medians.items() if other != device_id]
        if len(peers) < _LEAST_PEERS:
            return True
        if len(self._residuals.get(device_id, ())) < _PROBATION_RUNS:
            return False
        return abs(self._medians[device_id] - float(np.median(peers))) < SUSPICIOUS_LOG

    def sets_aside(self, device_id: str) -> bool:
        """Return whether a device stands apart from its peers; one still on probation does not yet."""
        judged = len(self._residuals.get(device_id, ())) >= _PROBATION_RUNS
        return judged and not self.trusted(device_id)

    def quarantined(self) -> tuple[str, ...]:
        """Return the devices that stand apart, sorted."""
        return tuple(sorted(filter(self.sets_aside, self._residuals)))


def honest_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of devices that agree with their peers on how long the same networks take."""
    levels: dict[tuple[str, bool], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        place = levels[run.query.model, run.query.profiled]
        place[run.query.device_id].append(log(max(run.total_us, FLOOR_US)))
    apart: dict[str, list[float]] = defaultdict(list)
    for by_device in levels.values():
        if len(by_device) > _LEAST_PEERS:
            medians = {device_id: float(np.median(logs)) for device_id, logs in by_device.items()}
            middle = float(np.median(list(medians.values())))
            for device_id, own in medians.items():
                apart[device_id].append(own - middle)
    liars = _beyond(apart.items())
    return [run for run in runs if run.query.device_id not in liars]


def _beyond(distances: Iterable[tuple[str, list[float]]]) -> set[str]:
    return {device_id for device_id, own in distances if abs(float(np.median(own))) >= SUSPICIOUS_LOG}
