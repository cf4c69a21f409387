from dataclasses import replace

import numpy as np
import pytest

from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.quarantine import honest_runs
from predictors.run import Run
from predictors.schedule import Schedule
from tests.synthetic import KEY, World

DEVICES = 10


def fleet(factor: float, calm: int, later: int) -> tuple[list[Run], list[Run]]:
    """Return calm and changing runs of ten devices; the third sends latencies times a factor."""
    calm_runs, later_runs = [], []
    for number in range(DEVICES):
        world = World(seed=number, device_id=f"device-{number}")
        lie = factor if number == 3 else 1.0
        for runs, honest in ((calm_runs, world.calm(calm)), (later_runs, world.changing(later, 15))):
            runs += [
                replace(run, total_us=run.total_us * lie, latency_us=run.latency_us * lie) for run in honest
            ]
    return tuple(sorted(runs, key=lambda run: run.query.started_at_us) for runs in (calm_runs, later_runs))


def others_error(factor: float) -> tuple[float, TestThenTrain]:
    calm, later = fleet(factor, 15, 30)
    engine = TestThenTrain(schedule=Schedule(least_new_runs=100))
    engine.calibrate(calm)
    scored = [engine.step(run) for run in later]
    errors = [
        abs(item.forecasts[Rung.RUNTIME].total.p50_us / item.run.total_us - 1.0)
        for item in scored
        if item.run.query.device_id != "device-3"
    ]
    return float(np.mean(errors)), engine


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_liar_moves_the_others_by_less_than_a_tenth_and_is_seen(factor: float) -> None:
    honest, engine = others_error(1.0)
    assert engine.quarantined() == {}
    lied_to, engine = others_error(factor)
    assert lied_to < 1.1 * honest
    assert engine.quarantined() == {KEY: ("device-3",)}


def test_a_repaired_device_teaches_again() -> None:
    _, engine = others_error(10.0)
    world = World(seed=3, device_id="device-3")
    for run in world.changing(60, 15):
        engine.step(replace(run, run_id=f"repaired {run.run_id}"))
    engine.flush()
    assert engine.quarantined() == {}
    assert not engine.sets_aside("device-3")


def test_two_devices_cannot_tell_who_lies() -> None:
    calm, _ = fleet(10.0, 5, 15)
    pair = [run for run in calm if run.query.device_id in ("device-2", "device-3")]
    assert honest_runs(pair) == pair
