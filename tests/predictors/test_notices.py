"""The slow clock tells of drifts and of refits that it refused."""

import pytest

from predictors import learning
from predictors.evaluate import TestThenTrain
from predictors.gate import Verdict
from predictors.notices import REFUSED, Notice
from predictors.schedule import DRIFT, Schedule
from tests.synthetic import KEY, World


class AlarmAt:
    """Flags a drift at one update, and at each later one."""

    def __init__(self, number: int) -> None:
        self._left = number

    def update(self, _miss: float) -> bool:
        self._left -= 1
        return self._left <= 0


def notices(world: World, runs: int) -> list[Notice]:
    found: list[Notice] = []
    engine = TestThenTrain(schedule=Schedule(least_new_runs=20, most_new_runs=1_000), on_notice=found.append)
    engine.calibrate(world.calm(40))
    for run in world.calm(runs):
        engine.step(run)
    engine.flush()
    return found


def test_a_drift_is_told_once_until_the_refit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "ResidualDrift", lambda: AlarmAt(65))
    (told,) = notices(World(seed=3), 35)
    assert (told.kind, told.device_id, told.version.key) == (DRIFT, "device-1", KEY)
    assert told.error_before is not None
    assert told.error_after is not None


def test_a_refused_refit_is_told_with_both_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict(runs=9, error=0.9, rival_error=0.1)
    monkeypatch.setattr(learning.Verdict, "of", lambda *_: verdict)
    told = [notice for notice in notices(World(seed=3), 60) if notice.kind == REFUSED]
    assert told
    assert (told[0].error_before, told[0].error_after, told[0].held_back_runs) == (0.1, 0.9, 9)
    assert told[0].device_id is None
