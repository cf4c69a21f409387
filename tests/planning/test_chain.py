import pytest
from hypothesis import given, settings

from app.planning.effort import Effort
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.strategies.chain import FrontierSearch, propose
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, NPU, HashedCosts, graph_of, problems


def brute_force_us(problem: Problem) -> float:
    """Latency of the best sequential placement: all of them, but for those that begin worse than the best.

    Costs are added up here once more, apart from the simulator: a kernel's time, a dispatch where the
    processor changes, and a copy of each tensor to each processor that reads it.
    """
    costs, kernels, tensors = problem.costs, problem.kernels, problem.tensors
    best_us = float("inf")

    def place(
        index: int, placement: tuple[int, ...], copied: frozenset[tuple[int, int]], spent_us: float
    ) -> None:
        nonlocal best_us
        if spent_us >= best_us:
            return
        if index == len(kernels):
            best_us = spent_us
            return
        for processor, latency_us in enumerate(costs.full[index].tolist()):
            if latency_us == float("inf"):
                continue
            more_us, there = latency_us, copied
            if not placement or placement[-1] != processor:
                more_us += costs.dispatch_us[processor]
            for tensor in kernels[index].reads:
                writer = tensors[tensor].writer
                if writer < 0 or placement[writer] == processor or (tensor, processor) in there:
                    continue
                more_us += costs.transfer[placement[writer]][processor].cost_us(tensors[tensor].size_bytes)
                there |= {(tensor, processor)}
            place(index + 1, (*placement, processor), there, spent_us + more_us)

    place(0, (), frozenset(), 0.0)
    return best_us


@settings(max_examples=60, deadline=None)
@given(problems(max_kernels=8))
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
