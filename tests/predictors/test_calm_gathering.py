from dataclasses import replace

from predictors.calm_gathering import LABELLED, QUIETEST, CalmGathering
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from tests.synthetic import KEY, World


def labelled(runs: list[Run]) -> list[Run]:
    return [replace(run, query=replace(run.query, calibration=True)) for run in runs]


def test_labelled_calibration_is_taken_whole_and_nothing_else() -> None:
    world = World(seed=1)
    engine = TestThenTrain()
    sources = []
    engine = TestThenTrain(
        on_publish=lambda version, _, metrics: sources.append((version.calm_final, metrics))
    )
    for run in (*labelled(world.calm(90)), *world.changing(60)):
        engine.step(run)
    final = [metrics for is_final, metrics in sources if is_final]
    assert {(metrics["calm_source"], metrics["calm_runs"]) for metrics in final} == {(LABELLED, 90)}
    assert not any(is_final for is_final, metrics in sources if metrics["trained_runs"] < 90)


def test_without_labels_the_quietest_runs_of_each_network_count() -> None:
    world = World(seed=2)
    gathering = CalmGathering(enough=100, share=0.5)
    for run in world.changing(100, episode=5):
        gathering.add(run)
    assert gathering.complete
    assert gathering.source == QUIETEST
    chosen = gathering.calm_runs()
    assert {run.query.model for run in chosen} == set(world.networks)
    calm = sum(run.query.condition in ("s0", "s2") for run in chosen) / len(chosen)
    assert calm > 0.8  # preemption shows in the pressure that the quietest runs lack


def test_what_is_served_before_anything_was_learned_says_so() -> None:
    engine = TestThenTrain()
    scored = [engine.step(run) for run in World(seed=3).calm(30)]
    assert not scored[0].learned
    assert scored[-1].learned


def test_a_thin_device_is_served_by_its_recent_runs_before_trees_are_trusted() -> None:
    world = World(seed=4)
    engine = TestThenTrain()
    for run in labelled(world.calm(40)):
        engine.step(run)
    for _ in range(12):
        engine.step(world.run("s1", "net4", profiled=True))
    slow = world.run("s1", "net4", profiled=True)
    forecasts = engine.step(slow).forecasts
    runtime = abs(forecasts[Rung.RUNTIME].total.p50_us / slow.total_us - 1.0)
    calm = abs(forecasts[Rung.CALM].total.p50_us / slow.total_us - 1.0)
    assert runtime < 0.15 < calm
    assert engine.version(KEY).calm_final
