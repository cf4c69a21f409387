import pytest

from app.planning.contention import Observation, contended, fit
from app.planning.plan import Draft, Work
from app.planning.planner import PlanningRequest, plan
from app.planning.problem import ModelRequest, Problem
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

FORK = graph_of([[], [0], [0], [1, 2]], ["Conv"] * 4)
SIDE_BY_SIDE = Draft((Work((0,), 0), Work((1,), 0), Work((2,), 1), Work((3,), 0)))


def test_nothing_is_slowed_until_something_was_learned() -> None:
    problem = Problem([ModelRequest(FORK)], [CPU, GPU], HashedCosts())
    timeline = simulate(problem, SIDE_BY_SIDE)
    assert contended(problem, timeline) is timeline


def test_only_what_runs_side_by_side_is_slowed() -> None:
    problem = Problem([ModelRequest(FORK)], [CPU, GPU], HashedCosts(beside=1e-3))
    alone = simulate(problem, SIDE_BY_SIDE)
    slowed = contended(problem, alone)
    assert slowed.kernels_us[0] == alone.kernels_us[0]
    assert slowed.kernels_us[3] == alone.kernels_us[3]
    assert slowed.kernels_us[1][0] > alone.kernels_us[1][0]
    assert slowed.kernels_us[2][0] > alone.kernels_us[2][0]
    assert slowed.latency_us > alone.latency_us
    for place, waits in enumerate(slowed.waits):
        assert all(slowed.end_us[other] <= slowed.start_us[place] + 1e-9 for other in waits)


def test_contention_makes_parallel_plans_less_attractive() -> None:
    def best_us(beside: float) -> float:
        request = PlanningRequest([ModelRequest(FORK)], [CPU, GPU], HashedCosts(beside=beside))
        return next(item.latency_us.mean for item in plan(request).plans if item.strategy == "joint")

    assert best_us(0.0) < best_us(5e-3)


def test_the_coefficient_is_fitted_from_executed_stages() -> None:
    truth = 2e-4
    observations = [
        Observation(100.0, 100.0 * (1 + truth * demand), demand) for demand in (100.0, 500.0, 2000.0)
    ]
    assert fit(observations) == pytest.approx(truth)
    assert fit([]) == 0.0
    assert fit([Observation(100.0, 90.0, 500.0)]) == 0.0
