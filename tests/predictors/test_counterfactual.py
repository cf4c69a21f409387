"""A logged bandit with known truth: what another policy would have done is found, with its interval."""

import numpy as np
from numpy.typing import NDArray

from predictors.counterfactual import LEAST_EFFECTIVE, value_of

TRUE_US = np.array([100.0, 140.0, 200.0])


def logged(
    n: int, explore: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int_]]:
    """An epsilon-greedy policy that prefers plan 0; a loaded device makes every plan slower at times."""
    explored = generator.random(n) < explore
    plan = np.where(explored, generator.integers(0, 3, n), 0)
    propensity = np.where(plan == 0, 1 - explore + explore / 3, explore / 3)
    load = generator.choice([1.0, 2.0], n, p=[0.7, 0.3])
    return TRUE_US[plan] * load * generator.lognormal(0, 0.1, n), propensity, plan


def test_it_finds_what_was_hardly_ever_done_and_its_interval_holds_the_truth() -> None:
    generator = np.random.default_rng(0)
    truth = TRUE_US * 1.3 * np.exp(0.005)
    for target in range(3):
        held, values = [], []
        for _ in range(100):
            latency, propensity, plan = logged(2000, 0.15, generator)
            found = value_of(latency, propensity, plan == target)
            assert found.latency_us.value is not None
            assert found.latency_us.low is not None
            assert found.latency_us.high is not None
            values.append(found.latency_us.value)
            held.append(found.latency_us.low <= truth[target] <= found.latency_us.high)
            assert found.supported == 1.0
            assert found.effective_n <= 2000
        assert abs(np.mean(values) / truth[target] - 1) < 0.02
        assert np.mean(held) >= 0.88


def test_a_policy_that_depends_on_the_context() -> None:
    generator = np.random.default_rng(1)
    n = 4000
    loaded = generator.random(n) < 0.5
    plan = generator.integers(0, 2, n)
    latency = np.where(plan == 0, np.where(loaded, 300.0, 100.0), 150.0) * generator.lognormal(0, 0.05, n)
    adaptive = value_of(latency, np.full(n, 0.5), plan == loaded.astype(int)).latency_us.value
    fixed = value_of(latency, np.full(n, 0.5), plan == 0).latency_us.value
    assert adaptive is not None
    assert fixed is not None
    assert abs(adaptive - 125.0) < 2.0
    assert abs(fixed - 200.0) < 8.0


def test_what_was_never_tried_cannot_be_said() -> None:
    certain = value_of(np.full(50, 100.0), np.ones(50), np.zeros(50, dtype=bool))
    assert certain.latency_us.too_thin
    assert certain.supported == 0.0
    thin = value_of(np.full(50, 100.0), np.full(50, 0.5), np.arange(50) < LEAST_EFFECTIVE - 1)
    assert thin.latency_us.too_thin
    assert value_of([], [], []).latency_us.too_thin
