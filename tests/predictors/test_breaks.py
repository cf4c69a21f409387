"""When the fast state stops to count is learned from what was predicted before each run."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.breaks import Breaks
from predictors.buffer import Row
from predictors.context_features import NAMES
from predictors.device_state import DeviceState
from predictors.evaluate import TestThenTrain
from predictors.usual import READ
from predictors.version import PredictorVersion
from tests.synthetic import KEY, World

SHORT_US, LONG_US = 5e3, 4e5
Floats = np.typing.NDArray[np.float64]


def vector(silence_us: float = SHORT_US, **jumps: float) -> Floats:
    """Return a run's vector with what Breaks reads of it."""
    row = np.zeros(len(NAMES))
    row[NAMES.index("silence_log_us")] = log(1.0 + silence_us)
    for name, jump in jumps.items():
        row[NAMES.index(f"jump_{name}")] = jump
    return row


def rows(broken_by: str, count: int = 400) -> list[Row]:
    """Return runs of which every tenth comes after a break that only context alone sees coming."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(count):
        broken = number % 10 == 0
        fresh, alone, level = (0.0, 1.0, 1.0) if broken else (0.0, 0.2, 0.0)
        silence_us = LONG_US if broken and broken_by == "silence" else SHORT_US
        features = vector(silence_us, cpu_pressure=0.3 if broken and broken_by == "jump" else 0.0)
        made.append(row(number, level + rng.normal(0.0, 0.02), fresh, alone, features))
    return made


def row(number: int, stretch: float, fresh: float, alone: float, features: Floats) -> Row:
    return Row(
        number=number,
        features=features,
        stretch=stretch,
        group="net+",
        weight=1.0,
        predicted=fresh,
        uncorrected=fresh,
        miss_log=0.0,
        state_log=fresh,
        slowdown_log=fresh,
        trees_log=fresh,
        fresh_log=fresh,
        alone_log=alone,
        calm_log_us=10.0,
        condition=None,
    )


def test_a_silence_that_means_a_break_is_learned() -> None:
    learned = Breaks.fit(rows("silence"))
    assert learned.share(vector(LONG_US)) < 0.1
    assert learned.share(vector()) > 0.9


def test_a_jump_of_circumstances_that_means_a_break_is_learned() -> None:
    learned = Breaks.fit(rows("jump"))
    assert learned.share(vector(cpu_pressure=0.3)) < 0.1
    assert learned.share(vector(cpu_pressure=-0.3)) < 0.1
    assert learned.share(vector()) > 0.9


def test_with_few_runs_the_default_stays() -> None:
    assert Breaks.fit(rows("silence")[:50]) == Breaks()


def test_where_nothing_breaks_the_state_counts() -> None:
    steady = [row(n, 0.15, 0.15, 0.1, vector()) for n in range(300)]
    assert Breaks.fit(steady).share(vector()) > 0.9


def test_a_device_that_sent_nothing_is_judged_by_context_alone() -> None:
    nothing = np.full(len(NAMES), np.nan)
    assert Breaks().share(nothing) == 0.0
    assert Breaks().hazard(nothing) == 1.0


def test_a_break_is_believed_only_where_context_came_nearer() -> None:
    likely = vector(cpu_pressure=0.3)
    learned = Breaks.fit(rows("jump"))
    assert learned.broke(likely, fresh_miss=1.0, alone_miss=0.0)
    assert not learned.broke(likely, fresh_miss=0.0, alone_miss=1.0)
    assert not learned.broke(vector(), fresh_miss=0.1, alone_miss=0.1)


@given(st.floats(0.0, 1e18), st.lists(st.floats(-1e6, 1e6), min_size=len(READ), max_size=len(READ)))
def test_the_share_is_a_share_and_falls_with_silence(silence_us: float, jumps: list[float]) -> None:
    named = dict(zip(READ, jumps, strict=True))
    share = Breaks().share(vector(silence_us, **named))
    assert 0.0 <= share <= 1.0
    assert Breaks().share(vector(silence_us + 1e6, **named)) <= share + 1e-12


@pytest.fixture(scope="module")
def version() -> PredictorVersion:
    world = World(seed=5)
    engine = TestThenTrain()
    engine.calibrate(world.calm(80))
    engine.warm_up(world.changing(400))
    return engine.version(KEY)


def test_after_a_break_only_newer_runs_count(version: PredictorVersion) -> None:
    world, state = World(seed=6), DeviceState.initial()
    for _ in range(15):
        state = version.absorb(state, world.run("s0", "net3", profiled=True))
    assert len(state.recent) == 12
    world.now_us += 500_000
    run = world.run("s3", "net3", profiled=True)
    after = version.absorb(state, run)
    assert len(after.recent) == 1
    assert after.averages == pytest.approx([after.recent[0].residual] * len(after.averages))
    assert after.widths != DeviceState.initial().widths


def test_an_outlier_is_no_break(version: PredictorVersion) -> None:
    world, state = World(seed=6), DeviceState.initial()
    for _ in range(15):
        state = version.absorb(state, world.run("s0", "net3", profiled=True))
    odd = world.run("s0", "net3", profiled=True)
    after = version.absorb(state, replace(odd, total_us=4.0 * odd.total_us))
    assert len(after.recent) == len(state.recent)
