"""Single operators: medians and intervals, whatever was measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.conformal import ENDS, INTERVALS, LEVELS, NO_WIDTHS
from predictors.operator_scatter import (
    DEFAULT_SCATTER,
    OperatorMisses,
    OperatorScatter,
    cells_of,
    misses_of,
)

MEDIAN = LEVELS.index(0.5)
CALM, LOADED = 0.0, 1.0


def runs(rng: np.random.Generator, stretch_log: float, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (measured, predicted means) of runs whose operators scatter ever more, the more stretched."""
    spread = 0.05 + 0.5 * stretch_log
    predicted = [np.exp(rng.uniform(1.0, 8.0, 60)) for _ in range(count)]
    noise = [np.exp(rng.normal(-0.2 * stretch_log, spread, 60)) for _ in range(count)]
    return [(means * factors, means) for means, factors in zip(predicted, noise, strict=True)]


def remembered(rng: np.random.Generator) -> OperatorMisses:
    misses = OperatorMisses()
    for stretch_log in (CALM, LOADED):
        for measured, predicted in runs(rng, stretch_log, 60):
            misses.add(measured, predicted, stretch_log)
    return misses


@pytest.mark.parametrize("stretch_log", [CALM, LOADED])
def test_each_interval_holds_its_share_in_calm_runs_and_in_stretched_ones(stretch_log: float) -> None:
    rng = np.random.default_rng(5)
    scatter = remembered(rng).scatter()
    shares, ratios = [], []
    for measured, predicted in runs(rng, stretch_log, 60):
        shares.append(scatter.inside(measured, predicted, stretch_log, NO_WIDTHS.operators))
        medians = scatter.quantiles_us(predicted, stretch_log, NO_WIDTHS.operators)[:, MEDIAN]
        ratios.append(np.median(np.log(medians / measured)))
    assert np.mean(shares, axis=0) == pytest.approx(INTERVALS, abs=0.03)
    assert np.mean(ratios) == pytest.approx(0.0, abs=0.05)


def test_a_wrong_scatter_is_widened_until_it_holds() -> None:
    rng = np.random.default_rng(6)
    scatter, widths = remembered(rng).scatter(), NO_WIDTHS
    shares = []
    for measured, predicted in runs(rng, CALM, 400):
        wilder = predicted * (measured / predicted) ** 2.0
        shares.append(scatter.inside(wilder, predicted, CALM, widths.operators))
        widths = widths.after_operators(shares[-1])
    assert np.mean(shares[200:], axis=0)[:2] == pytest.approx(INTERVALS[:2], abs=0.05)


@given(
    st.lists(st.floats(0.0, 1e9), min_size=1, max_size=60),
    st.floats(-5.0, 5.0),
    st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3),
)
def test_quantiles_are_finite_and_never_fall(
    latencies: list[float], stretch_log: float, widths_log: list[float]
) -> None:
    measured = np.array(latencies)
    predicted = np.maximum(measured[::-1], 0.3)
    cells = cells_of(predicted, stretch_log)
    for centred in (False, True):
        scatter = OperatorScatter.fit(cells, misses_of(measured, predicted), centred=centred)
        quantiles = scatter.quantiles_us(predicted, stretch_log, widths_log)
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=1) >= 0.0).all()
    assert quantiles[:, MEDIAN] == pytest.approx(predicted)


def test_it_survives_its_json_exactly() -> None:
    scatter = remembered(np.random.default_rng(7)).scatter()
    assert (OperatorScatter.from_json(scatter.to_json()).table == scatter.table).all()


def test_memory_is_bounded_and_too_little_gives_the_default() -> None:
    misses = OperatorMisses(most=100)
    assert misses.scatter() is DEFAULT_SCATTER
    for _ in range(50):
        misses.add(np.full(10, 3.0), np.full(10, 2.0), 0.0)
    scatter = misses.scatter()
    low, high = ENDS[1]
    assert scatter.table[0, low] == pytest.approx(np.log(1.5), abs=1e-3)
    assert scatter.table[0, high] == pytest.approx(np.log(1.5), abs=1e-3)
