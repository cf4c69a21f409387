from dataclasses import replace

from predictors.calm_gathering import FIRST, LABELLED, QUIETEST, CalmGathering
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from predictors.version import PredictorVersion
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
    learned = [metrics for metrics in final if metrics["trained_runs"] > 90]
    assert learned
    assert all(
        metrics["fitted_rows"] >= metrics["trained_runs"] >= metrics["new_runs"] > 0 for metrics in learned
    )


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


def test_a_profile_is_made_anew_for_each_first_network_then_at_each_doubling() -> None:
    world = World(seed=5)
    gathering = CalmGathering(enough=100, share=1.0)
    telling = []
    for model in ["net0"] * 3 + ["net1"] * 3 + ["net2"] * 14:
        gathering.add(world.run("s0", model))
        telling.append(gathering.telling)
    assert [place + 1 for place, is_telling in enumerate(telling) if is_telling] == [1, 4, 7, 8, 16]


def test_first_runs_are_not_called_quietest() -> None:
    gathering = CalmGathering(enough=10, share=1.0)
    gathering.add(World(seed=6).run())
    assert gathering.source == FIRST


def slower(run: Run) -> Run:
    return replace(run, total_us=5.0 * run.total_us, latency_us=5.0 * run.latency_us)


def test_processors_that_have_little_lean_on_siblings_that_have_not_finished_either() -> None:
    """Both cores are five times slower than expected of any; one is known by three runs of one network."""
    first, second = World(seed=7), World(seed=8, key=replace(KEY, processor="cpu:1"))
    second.now_us += 10_000_000
    engine, alone = TestThenTrain(), TestThenTrain()
    for _ in range(3):
        engine.step(slower(first.run("s0", "net4", profiled=True)))
    run = slower(second.run("s0", "net3", profiled=True))
    lent, guessed = (one.step(run).forecasts[Rung.CALM].total.p50_us for one in (engine, alone))
    assert not engine.version(KEY).calm_final
    assert abs(lent / run.total_us - 1.0) < 0.2
    assert guessed < 0.5 * run.total_us


def test_what_siblings_learn_reaches_a_processor_that_only_ran_unseen_networks() -> None:
    first, second = World(seed=9), World(seed=10, key=replace(KEY, processor="cpu:1"))
    engine = TestThenTrain(unseen=("net2",))
    points = []
    for _ in range(2):
        second.now_us = first.now_us + 10_000_000
        run = slower(second.run("s0", "net2", profiled=True))
        points.append(engine.step(run).forecasts[Rung.CALM].total.p50_us / run.total_us)
        first.now_us = second.now_us + 10_000_000
        for _ in range(2):
            engine.step(slower(first.run("s0", "net4", profiled=True)))
    assert points[0] < 0.5
    assert abs(points[1] - 1.0) < 0.2


def test_a_restart_keeps_a_profile_that_is_not_final() -> None:
    engine = TestThenTrain()
    for run in World(seed=11).calm(6):
        engine.step(run)
    engine.flush()
    version = PredictorVersion.from_bytes(engine.version(KEY).to_bytes())
    assert not version.calm_final
    assert TestThenTrain(versions=[version]).version(KEY) is version
