import pytest

from app.planning.problem import ModelRequest, Problem
from app.planning.structure import StructureCache
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

SMALL = graph_of([[], [0]], ["Conv", "Relu"])
LARGE = graph_of([[], [0], [1], [2]], ["Conv", "Relu", "Conv", "Relu"])


def test_equal_models_share_a_structure_and_costs_stay_fresh() -> None:
    again = graph_of([[], [0]], ["Conv", "Relu"])
    one = Problem([ModelRequest(SMALL)], [CPU, GPU], HashedCosts(seed=1))
    other = Problem([ModelRequest(again, deadline_us=5.0)], [CPU], HashedCosts(seed=2))
    assert one.structure is other.structure
    assert one.costs.full[0, 0] != other.costs.full[0, 0]


def test_what_differs_in_anything_is_another_structure() -> None:
    cache = StructureCache()
    graphs = [
        SMALL,
        graph_of([[], [0]], ["Conv", "Relu"], shape=(1, 16, 14, 14)),
        graph_of([[], []], ["Conv", "Relu"]),
    ]
    assert len({id(cache.get([(graph, ())])) for graph in graphs}) == 3
    assert cache.get([(SMALL, ()), (SMALL, (0,))]) is not cache.get([(SMALL, ()), (SMALL, ())])


def test_the_least_recently_used_goes_first() -> None:
    cache = StructureCache(most_kernels=7)
    first, second = cache.get([(SMALL, ())]), cache.get([(LARGE, ())])
    assert cache.get([(SMALL, ())]) is first
    cache.get([(SMALL, ()), (SMALL, ())])
    assert cache.kernels == 6
    assert cache.get([(SMALL, ())]) is first
    assert cache.get([(LARGE, ())]) is not second


def test_models_that_wait_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        StructureCache().get([(SMALL, (1,)), (SMALL, (0,))])
