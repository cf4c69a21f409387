"""Known laws are found again from executed plans, outliers or not; nothing is made up without evidence."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.planning.costs import Transfer, default_transfer
from app.planning.executed import Beside, Executed, Planned, StageObservation, observe
from app.planning.stage_costs import FACTOR_RANGE, LEAST_DISPATCH, StageCosts, fit_stages
from app.planning.transfer_costs import HandOver, fit_transfer

PRIOR = default_transfer("cpu", "gpu")


def copies(truth: Transfer, n: int, generator: np.random.Generator, outliers: float = 0.0) -> list[HandOver]:
    sizes = np.exp(generator.uniform(np.log(1e3), np.log(1e7), n))
    noise = generator.lognormal(0, 0.1, n) * np.where(generator.random(n) < outliers, 20.0, 1.0)
    return [
        HandOver("cpu", "gpu", float(size), float(truth.cost_us(size) * factor))
        for size, factor in zip(sizes, noise, strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(
    start=st.floats(1.0, 3000.0),
    gigabytes_per_s=st.floats(0.2, 40.0),
    outliers=st.sampled_from([0.0, 0.15]),
    seed=st.integers(0, 100),
)
@example(start=1.0, gigabytes_per_s=3.0, outliers=0.15, seed=57)
def test_a_law_of_hand_overs_is_found(
    start: float, gigabytes_per_s: float, outliers: float, seed: int
) -> None:
    truth = Transfer(start, 1e-3 / gigabytes_per_s)
    found = fit_transfer(copies(truth, 80, np.random.default_rng(seed), outliers), PRIOR)
    for size in (3e3, 1e5, 5e6):
        assert found.cost_us(size) == pytest.approx(truth.cost_us(size), rel=0.25 if outliers else 0.15)


def test_the_prior_gives_way_step_by_step() -> None:
    measured = [HandOver("cpu", "gpu", 0.0, 10.0)] * 50
    costs = [fit_transfer(measured[:n], PRIOR).latency_us for n in (0, 1, 5, 50)]
    assert costs[0] == pytest.approx(PRIOR.latency_us)
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(10.0, rel=0.5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=20))
def test_whatever_was_measured_the_cost_is_finite_and_the_fit_pure(
    rows: list[tuple[float, float]],
) -> None:
    measured = [HandOver("cpu", "gpu", size, latency) for size, latency in rows]
    found = fit_transfer(measured, PRIOR)
    assert found == fit_transfer(measured, PRIOR)
    assert 0 < found.latency_us < float("inf")
    assert 0 <= found.us_per_byte < float("inf")


def stages(
    n: int, generator: np.random.Generator, *, outliers: float = 0.0, beside: float = 0.25
) -> list[StageObservation]:
    """Stages of 40 µs dispatch, a tenth slower than predicted, half of them beside another processor."""
    made = []
    for place in range(n):
        alone, moved = float(np.exp(generator.uniform(2, 9))), float(np.exp(generator.uniform(8, 14)))
        received = float(moved / 3) if place % 3 == 0 else 0.0
        demand = float(generator.uniform(100, 4000))
        others = {"gpu": Beside(1.0, demand)} if place % 2 else {}
        took = 40.0 + 1.1 * alone + 2e-4 * received
        if others:
            took += beside * alone + 1e-7 * moved * demand
        took *= float(generator.lognormal(0, 0.05)) * (8.0 if generator.random() < outliers else 1.0)
        made.append(StageObservation("cpu", alone, took, moved, {"gpu": received}, others))
    return made


@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_the_law_of_stages_is_found(outliers: float) -> None:
    found = fit_stages(stages(600, np.random.default_rng(0), outliers=outliers), dispatch_us=15.0)
    assert found.n == 600
    assert found.dispatch_us == pytest.approx(40.0, rel=0.1)
    assert found.factor == pytest.approx(1.1, rel=0.04)
    assert found.conversion["gpu"] == pytest.approx(2e-4, rel=0.3)
    assert found.contention["gpu"].beside == pytest.approx(0.25, abs=0.06)
    assert found.contention["gpu"].per_demand == pytest.approx(1e-7, rel=0.15)


def test_what_does_not_slow_is_not_said_to() -> None:
    quiet = [
        StageObservation("cpu", 100.0, 115.0, 1e5, {}, {"gpu": Beside(1.0, 500.0)} if place % 2 else {})
        for place in range(60)
    ]
    found = fit_stages(quiet, dispatch_us=15.0)
    assert found.contention["gpu"].beside < 0.01
    assert found.contention["gpu"].per_demand * 1e5 * 500.0 < 1.0
    assert fit_stages([], 15.0) == StageCosts(15.0)


def test_few_stages_move_little() -> None:
    one = fit_stages(stages(1, np.random.default_rng(1)), dispatch_us=15.0)
    assert 0.9 < one.factor < 1.15
    assert all(pair.beside < 0.2 for pair in one.contention.values())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.floats(1e-3, 1e9)] * 3, st.floats(0, 1), st.floats(0, 1e6)), max_size=12))
def test_any_stages_give_finite_costs(rows: Sequence[tuple[float, float, float, float, float]]) -> None:
    measured = [
        StageObservation("cpu", alone, took, moved, {"gpu": moved}, {"gpu": Beside(share, demand)})
        for alone, took, moved, share, demand in rows
    ]
    found = fit_stages(measured, 15.0)
    assert found == fit_stages(measured, 15.0)
    assert LEAST_DISPATCH * 15.0 <= found.dispatch_us < float("inf")
    assert FACTOR_RANGE[0] <= found.factor <= FACTOR_RANGE[1]
    assert all(0 <= value < float("inf") for pair in found.contention.values() for value in pair)


PLANNED = {
    0: Planned("cpu", 100.0, 1e5, {}, ()),
    1: Planned("gpu", 50.0, 1e5, {"cpu": 4e4}, (0,)),
    2: Planned("cpu", 80.0, 1e5, {}, (0,)),
    3: Planned("cpu", 10.0, 1e4, {"gpu": 2e4}, (1, 2)),
}


def test_an_execution_shows_hand_overs_and_stages() -> None:
    ran = [
        Executed(0, 0.0, 120.0),
        Executed(1, 150.0, 210.0, waited_us=150.0),
        Executed(2, 125.0, 215.0, waited_us=0.0),
        Executed(3, 221.0, 240.0, waited_us=1.0),
        Executed(9, 0.0, 1.0),
    ]
    hand_overs, seen = observe(PLANNED, ran, {"cpu": 2.0})
    assert hand_overs == [HandOver("cpu", "gpu", 4e4, 30.0)]
    first, third, second, last = seen
    assert (first.expected_us, first.measured_us, first.beside) == (200.0, 120.0, {})
    assert (third.processor, third.measured_us) == ("cpu", 95.0)
    assert third.beside["gpu"].share == pytest.approx(60 / 90)
    assert (second.expected_us, second.measured_us, second.received_bytes) == (50.0, 60.0, {"cpu": 4e4})
    assert second.beside["cpu"].share == pytest.approx(1.0)
    assert last.measured_us == 25.0


def test_who_waits_for_the_other_side_shows_a_hand_over_without_being_told_how_long_it_stood_idle() -> None:
    ran = [Executed(0, 0.0, 120.0), Executed(2, 121.0, 130.0), Executed(1, 150.0, 210.0)]
    hand_overs, _ = observe(PLANNED, [*ran, Executed(3, 260.0, 270.0)], {})
    assert hand_overs == [HandOver("cpu", "gpu", 4e4, 30.0), HandOver("gpu", "cpu", 2e4, 50.0)]
