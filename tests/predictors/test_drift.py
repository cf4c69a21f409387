import numpy as np

from predictors.drift import NoDrift, ResidualDrift


def flags(misses: np.ndarray) -> list[int]:
    detector = ResidualDrift()
    return [place for place, miss in enumerate(misses) if detector.update(float(miss))]


def test_steady_misses_raise_no_alarm() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(len(flags(np.abs(rng.normal(0.0, 0.1, 1_000)))) for _ in range(5))
    assert alarms < 25  # fewer than 5 per 1,000 calm runs


def test_a_step_is_seen_soon() -> None:
    rng = np.random.default_rng(2)
    misses = np.abs(np.concatenate([rng.normal(0.0, 0.05, 400), rng.normal(0.6, 0.1, 60)]))
    found = [place for place in flags(misses) if place >= 400]
    assert found
    assert found[0] < 420


def test_no_drift_never_sees_one() -> None:
    assert not any(NoDrift().update(miss) for miss in (0.0, 1.0, 9.0))
