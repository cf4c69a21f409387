"""A solver that knows nothing of the search finds nothing much better."""

import pytest

from app.planning.effort import Effort
from app.planning.problem import ModelRequest, Problem
from app.planning.search import BeamSearch
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of
from tests.planning_certificate import optimum_us

FORKS = {
    "diamond": [[], [0], [0], [1, 2]],
    "two forks": [[], [0], [0], [1, 2], [3], [3], [4, 5]],
    "long and short branch": [[], [0], [1], [2], [0], [3, 4]],
}


@pytest.mark.parametrize("shape", FORKS)
@pytest.mark.parametrize("seed", range(2))
def test_the_search_is_as_good_as_the_solver(shape: str, seed: int) -> None:
    edges = FORKS[shape]
    costs = HashedCosts(seed=seed, dispatch=0.0)
    problem = Problem([ModelRequest(graph_of(edges, ["Conv"] * len(edges)))], [CPU, GPU], costs)
    solved, bound = optimum_us(problem, seconds=20.0)
    drafts = BeamSearch(problem, Effort(), splits=False, incumbent_us=float("inf")).run(width=10_000)
    found = simulate(problem, drafts[0]).latency_us
    assert bound <= solved * (1 + 1e-6)
    # The solver may run independent kernels in any order, the search keeps the graph's.
    assert solved * (1 - 1e-6) <= found <= solved * 1.03
