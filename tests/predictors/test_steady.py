"""Hundreds of runs of one model in one regime: where the median of the last eight is hard to beat.

The regime stays, its neighbours' demand wanders slowly, as real ones do: a little while the memory probe
shows it, or to twice and half of all that was ever seen while nothing shows it.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from math import exp, sin

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


def wandering() -> Iterator[float]:
    """Wander by some percent, for ever."""
    rng = np.random.default_rng(8)
    level = 0.0
    while True:
        level = INERTIA * level + rng.normal(0.0, WANDER)
        yield level


def swinging() -> Iterator[float]:
    """Swing slowly and far."""
    return (0.8 * sin(run / 50.0) for run in count())


def stretched(world: World, levels: Iterator[float], *, shown: bool) -> list[Run]:
    """Return runs of one model, slower by what `levels` yields (logs), which its probe may show."""
    runs = []
    for level in islice(levels, RUNS):
        run = world.run("s0", "net3", profiled=True)
        probe_us = run.query.context["probe_memory_us"] * (exp(level) if shown else 1.0)
        query = replace(run.query, context={**run.query.context, "probe_memory_us": probe_us})
        runs.append(
            replace(
                run,
                query=query,
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
    for runs in (stretched(world, wandering(), shown=True), stretched(world, swinging(), shown=False)):
        runtime, median = errors(engine, runs)
        _, high = difference_interval(runtime, median, np.arange(len(runtime)) // 20)
        assert high < 0.0
