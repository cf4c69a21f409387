import pytest

from app.planning.plan import Draft, Split, Work
from app.planning.problem import ModelRequest, Problem
from app.planning.splitting import Dimension
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

CHAIN = graph_of([[], [0]], ["Relu", "Conv"])


def _split(dimension: Dimension) -> Draft:
    halves = [Split(dimension, 0.0, 0.5), Split(dimension, 0.5, 1.0)]
    first = [Work((0,), place, half) for place, half in enumerate(halves)]
    return Draft((*first, Work((1,), 0)))


def test_rows_of_its_own_are_moved_beside_those_of_another_processor() -> None:
    problem = Problem([ModelRequest(CHAIN)], [CPU, GPU], HashedCosts())
    half_bytes = problem.tensors[problem.kernels[1].reads[0]].size_bytes / 2
    timeline = simulate(problem, _split(Dimension.HEIGHT))
    copied = problem.costs.transfer[1][0].cost_us(half_bytes)
    gathered = problem.costs.gather[0].cost_us(half_bytes)
    assert gathered > 0
    assert timeline.transfer_us == pytest.approx(copied)
    assert timeline.fixed_us[2] == pytest.approx(problem.costs.dispatch_us[0] + copied + gathered)


def test_parts_by_channels_are_written_where_they_belong() -> None:
    problem = Problem([ModelRequest(CHAIN)], [CPU, GPU], HashedCosts())
    timeline = simulate(problem, _split(Dimension.CHANNELS))
    assert timeline.fixed_us[2] == pytest.approx(problem.costs.dispatch_us[0] + timeline.transfer_us)


def test_gathering_costs_no_more_than_a_copy_from_another_processor() -> None:
    problem = Problem([ModelRequest(CHAIN)], [CPU, GPU], HashedCosts())
    for size_bytes in (1e3, 1e6):
        assert problem.costs.gather[0].cost_us(size_bytes) <= problem.costs.transfer[1][0].cost_us(size_bytes)
