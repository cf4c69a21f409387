"""What every published baseline owes its source, on a world whose laws are known."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from predictors.baselines.flops_linear import FlopsLinear
from predictors.baselines.forest import Forest
from predictors.baselines.last_value import LastValue
from predictors.baselines.lookup import Lookup
from predictors.baselines.median_of_recent import MedianOfRecent
from predictors.baselines.moving_average import MovingAverage
from predictors.baselines.slowdown import Filter, Slowdown
from predictors.baselines.work_blocks import WorkBlocks, work_blocks
from predictors.learner import Learner, baselines
from predictors.run import Run
from tests.synthetic import World, convolution, network, true_latency_us

OFFLINE: list[type[Learner]] = [FlopsLinear, WorkBlocks, Forest, Lookup]
REACTIVE: list[type[Learner]] = [LastValue, MedianOfRecent, MovingAverage, Slowdown]


def relative_error(learner: Learner, runs: list[Run]) -> float:
    return float(np.mean([abs(learner.predict(run.query).total_us / run.total_us - 1.0) for run in runs]))


def test_all_published_baselines_are_found() -> None:
    assert set(OFFLINE) | set(REACTIVE) == set(baselines())
    assert len({learner.name for learner in baselines()}) == len(baselines())


@pytest.mark.parametrize("kind", OFFLINE)
def test_offline_baselines_predict_known_networks_from_calm_runs(kind: type[Learner]) -> None:
    world = World(seed=1)
    learner = kind()
    learner.fit(world.calm(150))
    assert relative_error(learner, [world.run("s0", profiled=True) for _ in range(40)]) < 0.25


@pytest.mark.parametrize("kind", OFFLINE)
def test_offline_baselines_stay_frozen(kind: type[Learner]) -> None:
    world = World(seed=2)
    learner = kind()
    learner.fit(world.calm(60))
    before = learner.to_bytes()
    for run in world.changing(40):
        learner.learn(run)
    assert learner.to_bytes() == before


@pytest.mark.parametrize("kind", [FlopsLinear, WorkBlocks])
def test_linear_models_extrapolate_to_networks_never_run(kind: type[Learner]) -> None:
    world = World(seed=3)
    learner = kind()
    learner.fit(world.calm(150))
    world.networks = {"unseen": network(99, 20)}
    assert relative_error(learner, [world.run("s0", "unseen", profiled=True) for _ in range(10)]) < 0.3


def test_lookup_answers_a_timed_operator_by_its_median() -> None:
    world = World(seed=4)
    runs = [world.run("s0", "net1", profiled=True) for _ in range(9)]
    learner = Lookup()
    learner.fit(runs)
    # Another model made of one known operator: no whole-model median stands in the way.
    operator = runs[0].query.operators[0]
    query = replace(runs[0].query, model="other", operators=(operator,))
    measured = [
        run.latency_us[i] for run in runs for i, other in enumerate(run.query.operators) if other == operator
    ]
    assert learner.predict(query).total_us == pytest.approx(median(measured))


def test_work_blocks_grow_in_steps_of_four_channels() -> None:
    steps = [work_blocks(convolution(channels, 8)) for channels in (13, 14, 15, 16, 17)]
    assert steps[0] == steps[1] == steps[2] == steps[3] < steps[4]


def test_forest_cannot_exceed_what_it_was_shown() -> None:
    """The reason why forests alone are not enough: they do not extrapolate."""
    world = World(seed=5)
    learner = Forest()
    runs = world.calm(150)
    learner.fit(runs)
    largest = max(float(run.latency_us.max()) for run in runs if len(run.latency_us))
    huge = convolution(1024, 112)
    predicted = learner.predict(replace(runs[0].query, model="huge", operators=(huge,))).total_us
    assert predicted <= largest < 0.1 * true_latency_us(huge)


@pytest.mark.parametrize("kind", REACTIVE)
def test_reactive_baselines_start_from_the_profile_and_follow_a_step(kind: type[Learner]) -> None:
    world = World(seed=6, noise=0.001)
    learner = kind()
    learner.fit(world.calm(60))
    calm = world.run("s0", "net4", profiled=True)
    assert learner.predict(calm.query).total_us == pytest.approx(calm.total_us, rel=0.1)
    for _ in range(60):
        learner.learn(world.run("s3", "net4", profiled=True))
    stepped = world.run("s3", "net4", profiled=True)
    assert stepped.total_us > 2.0 * calm.total_us
    assert learner.predict(stepped.query).total_us == pytest.approx(stepped.total_us, rel=0.1)


def test_moving_average_needs_22_runs_for_nine_tenths_of_a_step() -> None:
    world = World()
    run = world.run("s0", "net0", profiled=True)
    learner = MovingAverage()
    learner.learn(replace(run, total_us=1000.0))
    for absorbed in range(1, 23):
        learner.learn(replace(run, total_us=2000.0))
        assert (learner.predict(run.query).total_us >= 1900.0) == (absorbed >= 22)


def test_median_of_recent_ignores_three_outliers_and_last_value_none() -> None:
    world = World()
    run = world.run("s0", "net0", profiled=True)
    steady, last = MedianOfRecent(), LastValue()
    for total in [1000.0] * 5 + [9000.0] * 3:
        steady.learn(replace(run, total_us=total))
        last.learn(replace(run, total_us=total))
    assert steady.predict(run.query).total_us == 1000.0
    assert last.predict(run.query).total_us == 9000.0


def test_histories_of_devices_and_of_profiled_runs_stay_apart() -> None:
    run = World().run("s0", "net0", profiled=True)
    learner = LastValue()
    learner.learn(replace(run, total_us=5000.0))
    for query in (replace(run.query, device_id="device-2"), replace(run.query, profiled=False)):
        assert learner.predict(query).total_us != 5000.0


def test_slowdown_is_shared_by_all_models() -> None:
    world = World(seed=7, noise=0.001)
    learner = Slowdown()
    learner.fit(world.calm(80))
    for _ in range(20):
        learner.learn(world.run("s3", "net4", profiled=True))
    other = world.run("s3", "net3", profiled=True)
    assert learner.predict(other.query).total_us == pytest.approx(other.total_us, rel=0.15)


def test_slowdown_filter_is_the_published_one() -> None:
    """First step by hand: Q = 0.1, variance = 0.5 * 0.1 + 0.1, gain = 0.15 / 0.151."""
    filtered = Filter().update(3.0)
    assert filtered.gain == pytest.approx(0.15 / 0.151)
    assert filtered.mean == pytest.approx(1.0 + 2.0 * 0.15 / 0.151)
    # The second step's process noise grows with the square of the first one's surprise.
    assert filtered.update(3.0).process_noise == pytest.approx(0.03 + 0.7 * (2.0 * 0.15 / 0.151) ** 2)
