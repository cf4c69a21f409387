"""A processor nobody measured is answered as its relatives would be, and soon by its own runs."""

from dataclasses import replace

import pytest

from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import PredictorKey, Run
from tests.synthetic import KEY, World

SIBLING = PredictorKey(KEY.soc, "cpu:1", KEY.framework)


SLOW = 5.0
"""How much slower both processors are than anybody would guess beforehand."""


def slower(run: Run, factor: float) -> Run:
    return replace(run, total_us=run.total_us * factor, latency_us=run.latency_us * factor)


def on_sibling(run: Run, factor: float) -> Run:
    query = replace(run.query, key=SIBLING)
    return replace(slower(run, SLOW * factor), run_id=f"sibling-{run.run_id}", query=query)


@pytest.fixture
def engine() -> TestThenTrain:
    engine = TestThenTrain()
    engine.calibrate([slower(run, SLOW) for run in World(seed=31).calm(120)])
    return engine


def test_the_first_request_is_answered_by_the_relatives(engine: TestThenTrain) -> None:
    first = on_sibling(World(seed=32).run("s0", "net3", profiled=True), 1.0)
    scored = engine.step(first)
    assert scored.forecasts[Rung.RUNTIME].total.p50_us == pytest.approx(first.total_us, rel=0.1)
    assert not scored.learned
    alone = TestThenTrain().step(first)
    assert alone.forecasts[Rung.RUNTIME].total.p50_us != pytest.approx(first.total_us, rel=0.3)


@pytest.mark.parametrize(("count", "within"), [(10, 0.2), (50, 0.1)])
def test_its_own_runs_take_over(engine: TestThenTrain, count: int, within: float) -> None:
    world = World(seed=33)
    for _ in range(count):
        engine.step(on_sibling(world.run("s0"), 1.7))
    later = on_sibling(world.run("s0", "net4", profiled=True), 1.7)
    assert engine.step(later).forecasts[Rung.RUNTIME].total.p50_us == pytest.approx(
        later.total_us, rel=within
    )
