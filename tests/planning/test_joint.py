import time

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from app.planning.costs import Transfer
from app.planning.effort import Effort
from app.planning.plan import Draft, Work
from app.planning.planner import plan
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.request import PlanningRequest
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


def brute_force_us(problem: Problem, known_us: float) -> float:
    """Return the least latency of all plans of whole kernels, or `known_us` where nothing is below it.

    Every placement is tried, and for each kernel whether it joins its processor's last work; that is over
    once another processor that shares a resource ran something. Only what has already taken longer than
    the best when it has begun is left out.
    """
    options = [np.flatnonzero(np.isfinite(row)).tolist() for row in problem.costs.full]
    best_us = known_us
    begun: list[tuple[tuple[Work, ...], dict[int, int]]] = [((), {})]
    while begun:
        works, last = begun.pop()
        index = sum(len(work.kernels) for work in works)
        if works:
            try:
                draft = Draft(tuple(in_order(problem, works)))
            except ValueError:
                continue  # works that wait for each other in a circle
            latency_us = simulate(problem, draft).latency_us
            if latency_us >= best_us:
                continue
            if index == len(options):
                best_us = latency_us
                continue
        for place in options[index]:
            joinable = {key: work for key, work in last.items() if not problem.shares[place, key]}
            begun.append(((*works, Work((index,), place)), {**joinable, place: len(works)}))
            if place in last:
                joined = [*works]
                joined[last[place]] = Work((*works[last[place]].kernels, index), place)
                begun.append((tuple(joined), {**joinable, place: last[place]}))
    return best_us


def assert_optimal(problem: Problem) -> None:
    drafts = propose(problem, Effort())
    found_us = min(simulate(problem, draft).latency_us for draft in drafts)
    assert found_us <= brute_force_us(problem, found_us) * (1 + 1e-9)


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(problems(max_kernels=8))
def test_joint_equals_brute_force(problem: Problem) -> None:
    assert_optimal(problem)


@pytest.mark.parametrize("seed", range(2))
def test_joint_equals_brute_force_on_eight_kernels(seed: int) -> None:
    edges = [[], [0], [0], [1], [2], [3, 4], [5, 0], [6]]
    assert_optimal(Problem([ModelRequest(graph_of(edges, ["Conv"] * 8))], [CPU, GPU], HashedCosts(seed=seed)))


def test_a_work_that_others_wait_for_is_lengthened_where_that_pays() -> None:
    edges = [[], [0], [1], [1], [0], [1, 2, 3], [2], [3, 6]]
    types = ["Odd", "Conv", "Odd", "Conv", "Odd", "Odd", "Odd", "Add"]
    big = Processor("cpu-big-2", "cpu", frozenset({"cpu-big"}))
    more = Processor("cpu-big-4", "cpu", frozenset({"cpu-big"}))
    gpu = Processor("gpu", "gpu", frozenset({"gpu"}), frozenset({"Add"}))
    costs = HashedCosts(seed=324, transfer_cost=Transfer(5.0, 1e-3), dispatch=30.0)
    assert_optimal(Problem([ModelRequest(graph_of(edges, types))], [big, more, gpu], costs))


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


def test_waiting_for_a_busy_processor_stops_no_search() -> None:
    effort = Effort(budget_ms=0.1)  # the clock stops it after 10 ms of computing
    time.sleep(0.03)
    assert effort.spend()
    assert not effort.stopped_early
    while effort.spend(0):
        pass
    assert effort.stopped_early
