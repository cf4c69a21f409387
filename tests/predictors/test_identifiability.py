"""On a world whose effects are known: each part of the prediction learns its own effect and no other's."""

from dataclasses import replace

import numpy as np
import pytest

from predictors.device_state import DeviceState
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from tests.synthetic import KEY, REGIMES, SLICE_US, World, network, true_latency_us


@pytest.fixture(scope="module")
def world() -> World:
    world = World(seed=11)
    world.networks["tiny"] = network(3, 2)
    return world


@pytest.fixture(scope="module")
def engine(world: World) -> TestThenTrain:
    engine = TestThenTrain()
    engine.calibrate(world.calm(150))
    engine.warm_up(world.changing(700))
    return engine


def stretch(engine: TestThenTrain, run: Run, state: DeviceState) -> float:
    forecast = engine.version(KEY).forecast(run.query, state)
    return forecast[Rung.RUNTIME].total.p50_us / forecast[Rung.CALM].total.p50_us


def test_the_effect_is_one_at_the_reference_context(engine: TestThenTrain, world: World) -> None:
    effects = [stretch(engine, world.run("s0", profiled=True), DeviceState.initial()) for _ in range(40)]
    assert np.median(effects) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("condition", ["s1", "s2", "s3"])
def test_context_alone_recovers_the_true_effect_of_a_long_run(
    engine: TestThenTrain, world: World, condition: str
) -> None:
    memory, preemption = REGIMES[condition]
    effects = [
        stretch(engine, world.run(condition, "net4", profiled=True), DeviceState.initial()) for _ in range(20)
    ]
    assert np.median(effects) == pytest.approx(memory * preemption, rel=0.12)


def test_a_run_shorter_than_a_slice_escapes_preemption(engine: TestThenTrain, world: World) -> None:
    assert sum(map(true_latency_us, world.networks["tiny"])) < SLICE_US / 2
    runs = [world.run("s1", "tiny", profiled=True) for _ in range(20)]
    effects = [stretch(engine, run, DeviceState.initial()) for run in runs]
    assert np.median(effects) == pytest.approx(1.0, abs=0.25)


def test_the_state_has_no_mean_of_its_own(engine: TestThenTrain, world: World) -> None:
    misses = []
    for run in world.changing(300):
        engine.step(run)
        misses.append(engine.state(run.query.device_id, KEY).bias.mean_log)
    assert abs(np.mean(misses)) < 0.03


def test_an_effect_that_no_context_shows_goes_into_the_state_and_leaves_again(
    engine: TestThenTrain, world: World
) -> None:
    version = engine.version(KEY)
    state = engine.state("device-1", KEY)
    hidden = [world.run("s0", profiled=True) for _ in range(12)]
    for run in hidden:
        state = version.absorb(
            state, replace(run, total_us=run.total_us * 1.8, latency_us=run.latency_us * 1.8)
        )
    after = world.run("s0", "net3", profiled=True)
    assert stretch(engine, after, state) == pytest.approx(1.8, rel=0.25)
    for _ in range(12):
        state = version.absorb(state, world.run("s0", profiled=True))
    assert stretch(engine, world.run("s0", "net3", profiled=True), state) == pytest.approx(1.0, abs=0.12)


def test_a_silent_device_forgets_towards_the_context_model(engine: TestThenTrain, world: World) -> None:
    version = engine.version(KEY)
    state = DeviceState.initial()
    for _ in range(10):
        run = world.run("s0", profiled=True)
        state = version.absorb(state, replace(run, total_us=run.total_us * 2.0))
    later = world.run("s0", "net3", profiled=True)
    later = replace(later, query=replace(later.query, started_at_us=state.updated_at_us + 120_000_000))
    assert version.correction_log(later.query, state) == pytest.approx(0.0, abs=1e-3)
