"""Hundreds of runs of one model in calm: where the median of the last eight is hard to beat.

The regime stays, its neighbours' demand wanders slowly, as real ones do, and the memory probe shows it.
"""

from dataclasses import replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from predictors.baselines.median_of_recent import MedianOfRecent
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from tests.accuracy.paired import difference_interval
from tests.synthetic import World

RUNS, SETTLED = 320, 20
WANDER, INERTIA = 0.02, 0.97


def wandering(world: World) -> list[Run]:
    """Return runs of one model whose slowdown wanders by some percent, and whose probe shows it."""
    rng = np.random.default_rng(8)
    level, runs = 0.0, []
    for _ in range(RUNS):
        level = INERTIA * level + rng.normal(0.0, WANDER)
        run = world.run("s0", "net3", profiled=True)
        context = {
            **run.query.context,
            "probe_memory_us": run.query.context["probe_memory_us"] * exp(level),
        }
        runs.append(
            replace(
                run,
                query=replace(run.query, context=context),
                total_us=run.total_us * exp(level),
                latency_us=run.latency_us * exp(level),
            )
        )
    return runs


def errors(engine: TestThenTrain, runs: list[Run]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the absolute relative errors of runtime and of the median of the last eight."""
    baseline = MedianOfRecent()
    pairs = []
    for run in runs:
        point = engine.step(run).forecasts[Rung.RUNTIME].total.p50_us
        pairs.append([abs(us / run.total_us - 1.0) for us in (point, baseline.predict(run.query).total_us)])
        baseline.learn(run)
    columns = np.array(pairs)[SETTLED:]
    return columns[:, 0], columns[:, 1]


def test_runtime_beats_the_median_of_the_last_eight() -> None:
    world = World(seed=31)
    engine = TestThenTrain(rungs=(Rung.RUNTIME,))
    engine.calibrate(world.calm(80))
    engine.warm_up(world.changing(200))
    runtime, median = errors(engine, wandering(world))
    _, high = difference_interval(runtime, median, np.arange(len(runtime)) // 20)
    assert high < 0.0
