"""Misses that come and go are noise; misses that repeat are corrected in full."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.bias import NO_BIAS, Bias

GAIN = 0.3


def after(misses: list[float], spread: float = 0.1) -> Bias:
    bias = NO_BIAS
    for miss in misses:
        bias = bias.after(miss, spread)
    return bias


def test_one_outlier_does_not_move_the_correction_far() -> None:
    assert NO_BIAS.after(5.0, spread=0.3).correction_log(1.0) < 0.45
    assert NO_BIAS.after(0.5, spread=0.05).correction_log(1.0) == pytest.approx(0.2)


def test_misses_that_repeat_are_corrected_in_full() -> None:
    assert after([0.5] * 20).correction_log(GAIN) == pytest.approx(0.5, abs=0.01)
    assert after([-0.5] * 20).correction_log(0.0) == pytest.approx(-0.5, abs=0.01)


def test_misses_that_come_and_go_are_hardly_corrected() -> None:
    misses = np.random.default_rng(4).normal(0.0, 0.1, 500).tolist()
    corrections = [abs(after(misses[:count]).correction_log(GAIN)) for count in range(50, 500, 10)]
    assert np.mean(corrections) < 0.02


def test_it_follows_when_the_sign_of_repeated_misses_turns() -> None:
    turned = after([0.4] * 20 + [0.0] * 8)
    assert abs(turned.correction_log(GAIN)) < 0.05


@given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.floats(0.005, 10.0), st.floats(0.0, 1.0))
def test_it_is_bounded_whatever_was_missed(misses: list[float], spread: float, gain: float) -> None:
    bias = after(misses, spread)
    assert abs(bias.correction_log(gain)) <= 2.0
    assert Bias.from_list(bias.to_list()) == bias
