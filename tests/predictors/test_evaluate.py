from dataclasses import replace

import numpy as np
import pytest

from predictors.evaluate import Scored, TestThenTrain
from predictors.forecast import Rung
from predictors.operator_model import PRIOR
from predictors.run import PredictorKey, Run
from predictors.schedule import Schedule
from predictors.version import PredictorVersion
from tests.synthetic import KEY, World, without_label

SCHEDULE = Schedule(least_new_runs=60, most_new_runs=60, append_after=40, append_margin=-100.0)
"""Appends trees whatever they are worth, so that what follows holds of appended ones too."""


def play(runs: list[Run], *, unseen: tuple[str, ...] = (), delay_us: float = 0.0) -> list[Scored]:
    world = World(seed=1)
    engine = TestThenTrain(unseen=unseen, feedback_delay_us=delay_us, schedule=SCHEDULE)
    engine.calibrate(world.calm(60))
    engine.warm_up(world.changing(150))
    return [engine.step(run) for run in runs]


def totals(scored: list[Scored]) -> list[tuple[object, ...]]:
    return [
        tuple(
            (rung, forecast.total, tuple(forecast.operators_us)) for rung, forecast in item.forecasts.items()
        )
        for item in scored
    ]


@pytest.fixture(scope="module")
def stream() -> list[Run]:
    world = World(seed=2)
    world.now_us += 10_000_000_000
    return world.changing(120)


@pytest.fixture(scope="module")
def played(stream: list[Run]) -> list[Scored]:
    return play(stream)


@pytest.mark.parametrize("place", [0, 30, 77])
def test_a_run_and_what_follows_changes_no_earlier_prediction(
    stream: list[Run], played: list[Scored], place: int
) -> None:
    run = stream[place]
    outcome = replace(run, total_us=run.total_us * 9, latency_us=run.latency_us * 9, fell_back=frozenset({0}))
    changed = [*stream[:place], outcome]
    changed += [replace(other, total_us=other.total_us / 7) for other in stream[place + 1 :]]
    assert totals(play(changed))[: place + 1] == totals(played)[: place + 1]


def test_later_runs_do_feel_an_earlier_one(stream: list[Run], played: list[Scored]) -> None:
    changed = [replace(stream[0], total_us=stream[0].total_us * 2), *stream[1:]]
    assert totals(play(changed))[1] != totals(played)[1]


def test_hiding_labels_changes_only_the_rung_that_may_read_them(
    stream: list[Run], played: list[Scored]
) -> None:
    hidden = play([without_label(run) for run in stream])
    for with_label, without in zip(played, hidden, strict=True):
        for rung in Rung:
            if rung is not Rung.PER_CONDITION:
                assert with_label.forecasts[rung].total == without.forecasts[rung].total


def test_feedback_that_never_comes_leaves_the_state_as_it_was(stream: list[Run]) -> None:
    scored = play(stream, delay_us=1e15)
    changed = play([replace(run, total_us=run.total_us * 3) for run in stream], delay_us=1e15)
    assert totals(scored) == totals(changed)


def test_no_version_learns_from_an_unseen_model(stream: list[Run]) -> None:
    published: list[PredictorVersion] = []

    def versions(factor: float) -> list[str]:
        published.clear()
        engine = TestThenTrain(
            unseen=("net2",), schedule=SCHEDULE, on_publish=lambda version, *_: published.append(version)
        )
        world = World(seed=1)
        engine.calibrate(world.calm(60))
        world_runs = world.changing(150)
        engine.warm_up(world_runs)
        for run in stream:
            unseen = run.query.model == "net2"
            engine.step(replace(run, latency_us=run.latency_us * factor) if unseen else run)
        return [version.digest for version in published]

    assert versions(1.0) == versions(3.0)
    assert any(version.runtime.appended for version in published)
    assert all(item.unseen == (item.run.query.model == "net2") for item in play(stream, unseen=("net2",)))


def test_a_duplicate_run_is_learned_once(stream: list[Run]) -> None:
    world = World(seed=1)
    engine = TestThenTrain()
    engine.calibrate(world.calm(60))
    engine.step(stream[0])
    engine.step(stream[0])
    engine.flush()
    once = engine.state("device-1", KEY)
    engine.step(stream[0])
    engine.flush()
    assert engine.state("device-1", KEY) == once


def test_context_state_and_learning_each_buy_accuracy(played: list[Scored]) -> None:
    def error(rung: Rung) -> float:
        ratios = [np.log(item.forecasts[rung].total.p50_us / item.run.total_us) for item in played]
        return float(np.abs(ratios).mean())

    assert error(Rung.RUNTIME) < 0.5 * error(Rung.CALM)
    assert error(Rung.CONTEXT_FROZEN) < 0.5 * error(Rung.CALM)
    assert error(Rung.STATE_ONLY) < error(Rung.CALM)


def test_a_version_survives_its_bytes_exactly(stream: list[Run]) -> None:
    published: list[PredictorVersion] = []
    engine = TestThenTrain(on_publish=lambda version, *_: published.append(version))
    world = World(seed=1)
    engine.calibrate(world.calm(60))
    engine.warm_up(world.changing(150))
    version = published[-1]
    copy = PredictorVersion.from_bytes(version.to_bytes())
    assert copy.digest == version.digest
    state = engine.state("device-1", KEY)
    for run in stream[:20]:
        ours, theirs = version.forecast(run.query, state), copy.forecast(run.query, state)
        assert {rung: forecast.total for rung, forecast in ours.items()} == {
            rung: forecast.total for rung, forecast in theirs.items()
        }


def test_a_processor_nobody_measured_starts_from_its_siblings() -> None:
    """Another core of a slow SoC was calibrated; the first forecast of this one is already close."""
    second = World(seed=22, key=replace(KEY, processor="cpu:1"))
    lent, alone = TestThenTrain(), TestThenTrain()
    lent.calibrate([slowed(run, 5.0) for run in World(seed=21).calm(80)])
    run = slowed(second.run("s0", "net4", profiled=True), 5.0)
    points = [engine.step(run).forecasts[Rung.CALM].total.p50_us for engine in (lent, alone)]
    assert points[0] == pytest.approx(run.total_us, rel=0.2)
    assert points[1] < 0.5 * run.total_us
    assert lent.version(second.key).trained_runs == 0


def test_a_restarted_learner_still_knows_the_siblings() -> None:
    """What it starts another core from is what it would have started it from without the restart."""
    published: dict[PredictorKey, PredictorVersion] = {}
    before = TestThenTrain(on_publish=lambda version, *_: published.update({version.key: version}))
    world = World(seed=21)
    before.calibrate([slowed(run, 5.0) for run in world.calm(80)])
    before.warm_up([slowed(run, 5.0) for run in world.changing(60)])
    stored = [PredictorVersion.from_bytes(version.to_bytes()) for version in published.values()]
    after = TestThenTrain(versions=stored)
    run = slowed(World(seed=22, key=replace(KEY, processor="cpu:1")).run("s0", "net4", profiled=True), 5.0)
    points = [engine.step(run).forecasts[Rung.CALM].total.p50_us for engine in (before, after)]
    assert points[1] == pytest.approx(points[0])
    assert points[1] == pytest.approx(run.total_us, rel=0.2)


def slowed(run: Run, factor: float) -> Run:
    """Return the run on a processor slower by a factor."""
    return replace(run, total_us=factor * run.total_us, latency_us=factor * run.latency_us)


def test_siblings_know_nothing_of_a_lone_processor() -> None:
    world = World(seed=23)
    engine = TestThenTrain()
    engine.calibrate(world.calm(80))
    other = PredictorKey("another-soc", "gpu", "test-runtime")
    assert engine.version(other).calm.operators is PRIOR
