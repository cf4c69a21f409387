from dataclasses import replace

import numpy as np
import pytest

from predictors.evaluate import TestThenTrain
from predictors.explain import explain, profile_next, summary
from predictors.graph import Operator
from predictors.run import Run
from predictors.version import PredictorVersion
from tests.odd_runs import odd_runs
from tests.synthetic import KEY, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=21)


@pytest.fixture(scope="module")
def engine(world: World) -> TestThenTrain:
    engine = TestThenTrain()
    engine.calibrate(world.calm(120))
    return engine


@pytest.fixture
def version(engine: TestThenTrain) -> PredictorVersion:
    return engine.version(KEY)


def slowed(run: Run, factors: np.ndarray) -> Run:
    latency = run.latency_us * factors
    return replace(run, latency_us=latency, total_us=run.total_us + float((latency - run.latency_us).sum()))


def test_the_parts_add_up_whatever_happened(
    engine: TestThenTrain, version: PredictorVersion, world: World
) -> None:
    state = engine.state("device-1", KEY)
    for run in (*world.changing(40), *odd_runs()):
        miss = explain(version, run, state)
        parts = miss.mapping + miss.operators + miss.overhead + miss.context + miss.state
        assert parts == pytest.approx(miss.total, abs=1e-9)


def test_a_group_adds_up_too(engine: TestThenTrain, version: PredictorVersion, world: World) -> None:
    state = engine.state("device-1", KEY)
    found = summary([explain(version, run, state) for run in world.changing(10)])
    assert sum(found.parts.values()) == pytest.approx(found.mean_log_ratio)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.n == 10


def test_a_slowdown_of_everything_is_context(
    engine: TestThenTrain, version: PredictorVersion, world: World
) -> None:
    run = world.run("s0", "net4", profiled=True)
    miss = explain(version, slowed(run, np.full(len(run.latency_us), 3.0)), engine.state("device-1", KEY))
    assert miss.context == pytest.approx(miss.total, rel=0.2)


def test_one_slow_operator_is_the_operator_model_and_is_profiled_next(
    engine: TestThenTrain, version: PredictorVersion, world: World
) -> None:
    run = world.run("s0", "net4", profiled=True)
    longest = int(np.argmax(run.latency_us))
    factors = np.ones(len(run.latency_us))
    factors[longest] = 6.0
    missed = slowed(run, factors)
    miss = explain(version, missed, engine.state("device-1", KEY))
    assert miss.operators > 0.7 * miss.total > 0.0
    assert profile_next(version, [missed])[0].signature == run.query.operators[longest].signature


def test_an_operator_nobody_knows_is_the_mapping(
    engine: TestThenTrain, version: PredictorVersion, world: World
) -> None:
    run = world.run("s0", "net4", profiled=True)
    strange = Operator("GridSample", ((1, 64, 28, 28),), ((1, 64, 28, 28),))
    query = replace(run.query, model="new", operators=(*run.query.operators, strange))
    latency = np.append(run.latency_us, 50_000.0)
    miss = explain(
        version,
        replace(run, query=query, latency_us=latency, total_us=run.total_us + 50_000.0),
        engine.state("device-1", KEY),
    )
    assert miss.mapping > 0.7 * miss.total > 0.0


def test_gaps_around_the_operators_are_overhead(
    engine: TestThenTrain, version: PredictorVersion, world: World
) -> None:
    run = world.run("s0", "net1", profiled=True)
    miss = explain(version, replace(run, total_us=run.total_us * 1.5), engine.state("device-1", KEY))
    assert miss.overhead == pytest.approx(np.log(1.5), abs=0.08)
