"""The report's figures, on forecasts whose scores are known."""

import numpy as np
import pytest

from predictors.forecast import Coverage, LatencyForecast, RunForecast
from predictors.operator_scatter import OperatorScatter
from predictors.scores import figures, operator_terms, run_terms

FORECAST = LatencyForecast(110.0, (50.0, 60.0, 90.0, 100.0, 110.0, 130.0, 140.0, 180.0, 200.0))


def test_an_interval_that_holds_costs_its_width_and_one_that_misses_twenty_times_the_gap() -> None:
    held, missed = run_terms(100.0, FORECAST), run_terms(160.0, FORECAST)
    assert held["winkler"] == pytest.approx(0.8)
    assert missed["winkler"] == pytest.approx((80.0 + 20.0 * 20.0) / 160.0)
    assert [missed[name] for name in ("covered_50", "covered", "covered_99")] == [0.0, 0.0, 1.0]


def test_figures_come_from_sums() -> None:
    terms = [run_terms(total_us, FORECAST) for total_us in (100.0, 200.0)]
    sums = {name: sum(item[name] for item in terms) for name in terms[0]}
    found = figures(2, sums, 0.25)
    assert found["mape"] == pytest.approx(0.25)
    assert found["bias"] == pytest.approx(220.0 / 300.0 - 1.0)
    assert (found["coverage_50"], found["coverage"], found["coverage_99"]) == (0.5, 0.5, 1.0)
    # The losses of the median, the 90 % and the 99 % quantile, over the mean measured.
    losses = (0.0 + 3.0 + 0.8, 50.0 + 0.9 * 70.0 + 0.99 * 20.0)
    assert found["pinball"] == pytest.approx(np.mean(losses) / 3.0 / 150.0)


def test_operators_are_judged_by_their_median_and_sums_by_their_mean() -> None:
    table = np.tile(np.log([0.1, 0.25, 0.4, 0.5, 0.6, 0.8, 2.0, 3.0, 4.0]), (25, 1))
    forecast = RunForecast(FORECAST, np.array([10.0, 20.0]), Coverage(1.0), OperatorScatter(table))
    terms = operator_terms(np.array([5.0, 0.0]), forecast)
    assert terms["ape"].tolist() == pytest.approx([0.0, 9.0])  # under a microsecond counts as one
    assert terms["predicted_us"].tolist() == [10.0, 20.0]
    assert terms["covered"].tolist() == [1.0, 0.0]


def test_rows_written_before_intervals_were_counted_have_none() -> None:
    old = {"ape": 1.0, "abs_log_ratio": 1.0, "squared_pe": 1.0, "within_10": 0.0}
    found = figures(2, {**old, "predicted_us": 3.0, "measured_us": 3.0}, 0.5)
    assert found["mape"] == 0.5
    assert found["coverage"] is None
    assert found["pinball"] is None
