import numpy as np

from predictors.alarms import signs_of
from predictors.conformal import Calibration
from predictors.context_features import NAMES
from predictors.context_model import Stretch
from predictors.usual import READ


def vector(**values: float) -> np.ndarray:
    row = np.full(len(NAMES), np.nan)
    for name, value in values.items():
        row[NAMES.index(name)] = value
    return row


def test_jumps_either_way_and_shortness_are_signs_and_what_is_unknown_is_none() -> None:
    assert signs_of(vector()).tolist() == [0.0] * (len(READ) + 1)
    found = signs_of(vector(jump_cpu_pressure=-0.5, log_calm_us=np.log(2_000.0)))
    assert np.allclose(sorted(found.tolist())[-2:], [0.5, np.log(10.0)])
    assert not signs_of(vector(log_calm_us=np.log(1e6))).any()
    shortest, shorter = (signs_of(vector(log_calm_us=np.log(length_us))) for length_us in (1_000.0, 1.0))
    assert (shortest == shorter).all()


def test_a_sign_widens_as_far_as_the_tail_of_misses_does() -> None:
    rng = np.random.default_rng(4)
    signs = np.column_stack([rng.integers(0, 2, 3_000), rng.random(3_000)]).astype(float)
    rare = rng.random(3_000) < 0.2  # the typical miss is the same: only large ones are larger
    scores = rng.normal(0.0, 1.0, 3_000) * np.where(rare & (signs[:, 0] > 0), 4.0, 1.0)
    found = Calibration.fit(scores, signs, scores)
    assert 1.3 < found.alarm(np.array([1.0, 0.0])) < 2.0
    assert found.alarm(np.array([0.0, 1.0])) < 1.1


def test_two_stories_are_as_wide_as_either_makes_them_by_its_chance() -> None:
    fresh, alone = Stretch(0.0, 0.1, 0.0), Stretch(1.0, 0.3, 1.0)
    blended = fresh.blended(alone, 1.0, 0.9)
    assert blended.median == 0.0
    assert np.isclose(blended.spread, 0.9 * 0.1 + 0.1 * (0.3 + 1.0))
