from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from app.planning.effort import Effort
from app.planning.plan import Draft, Work
from app.planning.planner import PlanningRequest, plan
from app.planning.problem import ModelRequest, Problem
from app.planning.search import BeamSearch
from app.planning.staging import in_order
from app.planning.strategies.joint import propose
from app.planning.timeline import simulate
from predictors import fusion
from predictors.onnx_reader import read
from tests.onnx_models import light
from tests.planning_cases import CPU, GPU, NPU, HashedCosts, graph_of, problems

# Shrinking a counterexample would take minutes; the first one found is small anyway.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def every_draft(problem: Problem) -> Iterator[Draft]:
    """All placements of whole kernels, and for each kernel whether it joins its processor's last work.

    That is over once another processor that shares a resource ran something.
    """
    latency = problem.costs.full
    options = [
        [
            (place, joins)
            for place in range(len(problem.processors))
            if np.isfinite(latency[kernel.index, place])
            for joins in (False, True)
        ]
        for kernel in problem.kernels
    ]
    for choice in product(*options):
        works: list[tuple[int, list[int]]] = []
        last: dict[int, int] = {}
        for index, (place, joins) in enumerate(choice):
            if joins and place not in last:
                break  # the same as opening one
            for other in range(len(problem.processors)):
                if other != place and problem.shares[place, other]:
                    last.pop(other, None)  # a work that another one followed is over
            if not joins:
                last[place] = len(works)
                works.append((place, []))
            works[last[place]][1].append(index)
        else:
            try:
                ordered = in_order(problem, [Work(tuple(kernels), place) for place, kernels in works])
            except ValueError:
                continue
            yield Draft(tuple(ordered))


def assert_optimal(problem: Problem) -> None:
    best = min(simulate(problem, draft).latency_us for draft in every_draft(problem))
    search = BeamSearch(problem, Effort(), splits=False, incumbent_us=float("inf"))
    found = search.run(width=100_000)
    assert search.exact
    assert simulate(problem, found[0]).latency_us == pytest.approx(best)
    drafts = propose(problem, Effort())
    assert min(simulate(problem, draft).latency_us for draft in drafts) <= best * (1 + 1e-9)


@settings(max_examples=30, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(problems(max_kernels=4))
def test_search_equals_brute_force(problem: Problem) -> None:
    assert_optimal(problem)


@pytest.mark.parametrize("seed", range(2))
def test_search_equals_brute_force_on_six_kernels(seed: int) -> None:
    edges = [[], [0], [0], [1], [2], [3, 4]]
    assert_optimal(Problem([ModelRequest(graph_of(edges, ["Conv"] * 6))], [CPU, GPU], HashedCosts(seed=seed)))


@settings(max_examples=20, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(problems(max_kernels=8))
def test_joint_is_never_worse_than_another_strategy(problem: Problem) -> None:
    model = problem.models[0]
    result = plan(PlanningRequest([model], problem.processors, problem.costs.source))
    keeping = [item for item in result.plans if not item.requires_retraining]
    joint = next((item for item in result.plans if item.strategy == "joint"), None)
    assert joint is not None or not keeping
    for item in keeping:
        assert joint is not None
        assert joint.latency_us.mean <= item.latency_us.mean * (1 + 1e-9)


@pytest.mark.parametrize("name", ["inception_v1", "squeezenet", "resnet50"])
def test_joint_is_strictly_better_on_real_networks(name: str) -> None:
    request = PlanningRequest(
        [ModelRequest(fusion.kernels(read(light(name))))], [CPU, GPU, NPU], HashedCosts(dispatch=15.0)
    )
    result = plan(request)
    plans = {item.strategy: item for item in result.plans if item.strategy != "mace"}
    others = [
        item.latency_us.mean
        for item in result.plans
        if item.strategy != "joint" and not item.requires_retraining
    ]
    assert plans["joint"].latency_us.mean < min(others) * 0.99


def test_a_works_limit_not_the_clock_decides() -> None:
    graph = fusion.kernels(read(light("squeezenet")))
    drafts = []
    for _ in range(2):
        problem = Problem([ModelRequest(graph)], [CPU, GPU], HashedCosts())
        drafts.append(BeamSearch(problem, Effort(2.0), splits=True, incumbent_us=float("inf")).run())
    assert drafts[0] == drafts[1]
