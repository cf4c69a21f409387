"""Regret and its statistics: no winner's curse, honest intervals, nothing said of too little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.estimates import bootstrap, bootstrap_ratio, mean, median, p95
from predictors.regret import LEAST_REPEATS, split_half


def episode(true_us: list[float], repeats: int, generator: np.random.Generator) -> dict[str, list[float]]:
    """Noisy latencies of plans with these true ones; one execution in ten is preempted."""
    noise = generator.lognormal(0.0, 0.1, (len(true_us), repeats))
    noise *= np.where(generator.random(noise.shape) < 0.1, 3.0, 1.0)
    return {str(place): list(latency * noise[place]) for place, latency in enumerate(true_us)}


def test_plans_that_are_equal_have_no_regret_though_the_least_measurement_says_so() -> None:
    generator = np.random.default_rng(1)
    episodes = [episode([100.0] * 6, 10, generator) for _ in range(60)]
    found = [split_half(item, "0", seed=place) for place, item in enumerate(episodes)]
    unbiased = float(np.mean([item.regret for item in found if item is not None]))
    naive = float(
        np.mean([np.median(item["0"]) / min(map(np.median, item.values())) - 1 for item in episodes])
    )
    assert naive > 0.03
    assert abs(unbiased) < naive / 3
    assert np.mean([item.best for item in found if item is not None]) == pytest.approx(1 / 6, abs=0.1)


def test_a_worse_plan_shows_by_how_much() -> None:
    generator = np.random.default_rng(2)
    episodes = [episode([130.0, 100.0, 150.0], 12, generator) for _ in range(40)]
    found = [split_half(item, "0") for item in episodes]
    assert np.mean([item.regret for item in found if item is not None]) == pytest.approx(0.3, abs=0.03)
    assert all(item is not None and item.best < 0.5 for item in found)


def test_too_few_repeats_say_nothing() -> None:
    enough, few = [1.0] * LEAST_REPEATS, [1.0] * (LEAST_REPEATS - 1)
    assert split_half({"a": enough, "b": enough}, "a") is not None
    assert split_half({"a": few, "b": enough}, "a") is None
    assert split_half({"a": enough, "b": few}, "a") is None
    assert split_half({"a": enough}, "a") is None
    assert split_half({"a": enough, "b": enough}, "c") is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(0.0, 1e9), min_size=7, max_size=9), min_size=2, max_size=4), st.integers(0, 9)
)
def test_regret_is_pure_and_finite(latencies: list[list[float]], seed: int) -> None:
    table = {str(place): values for place, values in enumerate(latencies)}
    one, again = split_half(table, "0", seed=seed), split_half(table, "0", seed=seed)
    assert one == again
    assert one is not None
    assert np.isfinite(one.regret)
    assert 0.0 <= one.best <= 1.0
    assert one.regret >= -1.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    samples = generator.gamma(4.0, 1.0, (100, 60))
    held = [
        estimate.low <= 4.0 <= estimate.high
        for row in samples
        if (estimate := bootstrap(row)).low is not None and estimate.high is not None
    ]
    assert len(held) == 100
    assert np.mean(held) > 0.86


def test_too_thin_is_no_number() -> None:
    assert bootstrap([1.0] * 4).too_thin
    assert bootstrap([1.0] * 19, p95).too_thin
    assert bootstrap([1.0] * 20, p95).value == 1.0
    assert bootstrap([1.0, 2.0, 3.0, 4.0, 100.0], median).value == 3.0
    assert bootstrap([], mean).n == 0
    assert bootstrap_ratio([1.0] * 4, [1.0] * 4).too_thin
    assert bootstrap_ratio([2.0] * 6, [1.0] * 6).value == 2.0
