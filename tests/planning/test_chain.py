from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from app.planning.effort import Effort
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.staging import sequential
from app.planning.strategies.chain import FrontierSearch, propose
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, NPU, HashedCosts, graph_of, problems


def brute_force_us(problem: Problem) -> float:
    """Latency of the best sequential placement, by trying all of them."""
    latency = problem.costs.full
    options: list[Sequence[int]] = [
        [place for place in range(len(problem.processors)) if np.isfinite(latency[kernel.index, place])]
        for kernel in problem.kernels
    ]
    return min(
        simulate(problem, sequential(problem, placement)).latency_us for placement in product(*options)
    )


@settings(max_examples=40, deadline=None)
@given(problems(max_kernels=5))
def test_chain_equals_brute_force(problem: Problem) -> None:
    draft = propose(problem, Effort())[0]
    assert simulate(problem, draft).latency_us == pytest.approx(brute_force_us(problem))


@pytest.mark.parametrize("seed", range(3))
def test_chain_equals_brute_force_on_eight_kernels(seed: int) -> None:
    edges = [[], [0], [0], [1, 2], [3], [0, 4], [5], [3, 6]]
    problem = Problem(
        [ModelRequest(graph_of(edges, ["Conv", "Relu"] * 4))], [CPU, GPU], HashedCosts(seed=seed)
    )
    draft = propose(problem, Effort())[0]
    assert simulate(problem, draft).latency_us == pytest.approx(brute_force_us(problem))


def test_a_tensor_read_again_later_is_fetched_from_where_it_is() -> None:
    """The previous operator alone is no state: kernel 3 reads what kernel 0 wrote long before."""
    edges = [[], [0], [1], [0, 2]]
    for seed in range(20):
        problem = Problem(
            [ModelRequest(graph_of(edges, ["Conv"] * 4))], [CPU, GPU, NPU], HashedCosts(seed=seed)
        )
        found = simulate(problem, propose(problem, Effort())[0]).latency_us
        assert found == pytest.approx(brute_force_us(problem))


def test_truncation_is_said() -> None:
    edges: list[list[int]] = [[] for _ in range(6)]
    edges.append(list(range(6)))
    graph = graph_of(edges, ["Conv"] * 7)
    processors = [Processor(f"p{place}", "gpu", frozenset({f"p{place}"})) for place in range(4)]
    problem = Problem([ModelRequest(graph)], processors, HashedCosts())
    search = FrontierSearch(problem, max_states=2)
    search.run()
    assert search.truncated
