"""Intervals: what adaptive conformal inference must hold to, whatever is measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.conformal import (
    ENDS,
    INTERVALS,
    LEAST_REACH_LOG,
    LEVELS,
    MOST_WIDTH_LOG,
    NOT_CALIBRATED,
    UNTRIED_SCORES,
    Calibration,
    Spread,
    Widths,
    widened,
)

NORMAL = tuple(np.quantile(np.random.default_rng(0).normal(size=20_000), LEVELS).tolist())
widths_logs = st.lists(st.floats(-MOST_WIDTH_LOG, MOST_WIDTH_LOG), min_size=3, max_size=3)


def held(scores: np.ndarray, widths: Widths) -> tuple[np.ndarray, Widths]:
    """Return the share of scores inside each interval while the widths adapt."""
    inside = np.zeros(len(INTERVALS))
    for score in scores.tolist():
        quantiles = widened(NORMAL, widths.run)
        inside += [quantiles[low] <= score <= quantiles[high] for low, high in ENDS]
        widths = widths.after_run(score, NORMAL)
    return inside / len(scores), widths


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_each_interval_holds_its_share_however_wrong_the_spread_was(scale: float) -> None:
    rng = np.random.default_rng(3)
    _, widths = held(rng.normal(scale=scale, size=1_000), Widths())
    shares, _ = held(rng.normal(scale=scale, size=4_000), widths)
    assert shares == pytest.approx(INTERVALS, abs=0.012)


@given(st.lists(st.floats(allow_nan=False), max_size=200))
def test_no_miss_makes_a_width_infinite(scores: list[float]) -> None:
    widths = Widths()
    for score in scores:
        widths = widths.after_run(score, NORMAL)
    assert all(abs(width) <= MOST_WIDTH_LOG for width in widths.run)
    assert Widths.from_list(widths.to_list()) == widths


@given(widths_logs, st.lists(st.floats(-9.0, 9.0), min_size=len(LEVELS), max_size=len(LEVELS)).map(sorted))
def test_widened_quantiles_stay_in_order(widths_log: list[float], quantiles: list[float]) -> None:
    found = widened(quantiles, widths_log)
    assert list(found) == sorted(found)
    assert np.isfinite(found).all()


def test_too_few_misses_leave_the_wide_default() -> None:
    assert Spread.fit(np.zeros(3)) == Spread()
    assert Spread.fit(np.zeros(30)).quantiles == (0.0,) * len(LEVELS)


def test_few_scores_claim_no_more_than_they_tell() -> None:
    signs = np.zeros((500, 1))
    scores = np.random.default_rng(2).normal(scale=0.5, size=500)
    assert Calibration.fit(scores[:0], signs[:0], scores[:0]) == NOT_CALIBRATED
    few, many = (Calibration.fit(scores[:n], signs[:n], scores[:n]).quantiles for n in (5, 500))
    (low, high) = ENDS[INTERVALS.index(0.9)]
    assert 0.7 * UNTRIED_SCORES[high] < few[high] <= UNTRIED_SCORES[high]
    assert many[high] - many[low] == pytest.approx(2 * 1.645 * 0.5, rel=0.2)


def test_intervals_reach_little_farther_than_any_miss_did() -> None:
    signs, misses = np.zeros((100, 1)), np.linspace(-2.0, 1.0, 100)
    assert Calibration.fit(misses, signs, misses).reach_log == 3.0
    assert Calibration.fit(misses, signs, misses / 10.0).reach_log == LEAST_REACH_LOG
    assert np.isfinite(Calibration.fit(misses, signs, misses * 1e300).reach_log)
