from dataclasses import replace

import pytest

from app.planning.costs import Spread, Transfer
from app.planning.planner import plan
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.request import PlanningRequest
from app.planning.strategy import all_strategies
from app.planning.timeline import simulate
from predictors import fusion
from predictors.onnx_reader import read
from tests.onnx_models import light
from tests.planning_cases import CPU, GPU, NPU, HashedCosts, graph_of

DIAMOND = graph_of([[], [0], [0], [1, 2]], ["Conv", "Conv", "Relu", "Add"])


def request(**changes: object) -> PlanningRequest:
    base = PlanningRequest([ModelRequest(DIAMOND)], [CPU, GPU, NPU], HashedCosts())
    return replace(base, **changes)  # type: ignore[arg-type]


def test_mace_answers_one_plan_a_processor() -> None:
    result = plan(request(strategies=["mace"]))
    assert sorted(item.stages[0].processor for item in result.plans) == ["cpu:0", "gpu", "npu"]
    assert result.plans[0].speedup_over_best_single == pytest.approx(1.0)


def test_plans_are_ranked_by_the_objective() -> None:
    for objective in ("mean", "p50", "p90", "p99"):
        result = plan(request(objective=objective))
        values = [
            getattr(item.latency_us, objective) for item in result.plans if not item.requires_retraining
        ]
        assert not any(item.requires_retraining for item in result.plans[: len(values)])
        assert values == sorted(values)


def test_quantiles_are_ordered_and_every_plan_respects_its_bound() -> None:
    for item in plan(request()).plans:
        assert item.latency_us.p50 <= item.latency_us.p90 <= item.latency_us.p99
        if not item.requires_retraining:
            assert item.latency_us.mean >= item.bound_us - 1e-6
        for usage in item.processors.values():
            assert usage.busy + usage.waiting + usage.idle == pytest.approx(1.0)


def test_fallback_tells_ratio_names_and_cost() -> None:
    gpu = Processor("gpu", "gpu", frozenset({"gpu"}), frozenset({"Relu"}))
    result = plan(request(processors=[CPU, gpu], strategies=["mace"]))
    on_gpu = next(item for item in result.plans if any(stage.processor == "gpu" for stage in item.stages))
    assert on_gpu.fallback.ratio == pytest.approx(0.25)
    assert on_gpu.fallback.operators == ("op2",)
    assert on_gpu.fallback.cost_us > 0
    on_cpu = next(item for item in result.plans if item is not on_gpu)
    assert on_cpu.fallback.ratio == 0.0


def test_nothing_supports_an_operator() -> None:
    gpu = replace(GPU, unsupported=frozenset({"Relu"}))
    result = plan(request(processors=[gpu]))
    assert result.plans == ()
    assert {item.strategy for item in result.impossible} == set(all_strategies())
    assert "k2" in result.impossible[0].reason


def test_one_processor_and_zero_costs() -> None:
    result = plan(request(processors=[CPU], costs=HashedCosts(zero=True, dispatch=0.0)))
    assert result.plans
    assert all(item.latency_us.mean == 0.0 for item in result.plans)


def test_a_memory_cap_that_excludes_all_says_so() -> None:
    result = plan(request(memory_cap_bytes=10.0))
    assert result.plans == ()
    assert all("cap" in item.reason for item in result.impossible if "bytes" in item.reason)
    assert any("bytes" in item.reason for item in result.impossible)


def test_a_share_cap_keeps_a_processor_free() -> None:
    result = plan(request(max_share={"gpu": 0.3}))
    assert result.plans
    assert all(item.processors["gpu"].busy <= 0.3 for item in result.plans)


def test_a_deadline_that_cannot_be_met_has_no_chance() -> None:
    hopeless = plan(request(models=[ModelRequest(DIAMOND, deadline_us=1.0)]))
    easy = plan(request(models=[ModelRequest(DIAMOND, deadline_us=1e9)]))
    assert all(item.deadline_met == (0.0,) for item in hopeless.plans)
    assert all(item.deadline_met == (1.0,) for item in easy.plans)


def test_the_same_request_gives_the_same_answer() -> None:
    assert plan(request()) == plan(request())


def test_chances_of_being_fastest_add_up() -> None:
    result = plan(request())
    assert sum(item.fastest for item in result.plans) == pytest.approx(1.0)
    certain = plan(request(costs=HashedCosts(scatter=Spread(0.0, 0.0))))
    assert certain.plans[0].fastest > 0


def test_equal_plans_tie_and_the_simpler_one_wins() -> None:
    result = plan(request(processors=[CPU]))
    assert all(item.tie for item in result.plans[1:] if not item.requires_retraining)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown strategies"):
        plan(request(strategies=["magic"]))
    with pytest.raises(ValueError, match="unknown granularities"):
        plan(request(granularities=["atoms"]))
    with pytest.raises(ValueError, match="circle"):
        plan(request(models=[ModelRequest(DIAMOND, after=(1,)), ModelRequest(DIAMOND, after=(0,))]))


def test_models_wait_for_each_other_and_for_their_release() -> None:
    models = [ModelRequest(DIAMOND, after=(1,)), ModelRequest(DIAMOND, release_us=500.0)]
    for item in plan(request(models=models)).plans:
        first = [stage for stage in item.stages if stage.model == 1]
        second = [stage for stage in item.stages if stage.model == 0]
        assert min(stage.start_us for stage in first) >= 500.0
        assert min(stage.start_us for stage in second) >= max(stage.end_us for stage in first)


def test_each_distinct_kernel_is_predicted_once() -> None:
    costs = HashedCosts()
    kernels = fusion.kernels(read(light("resnet50")))
    problem = Problem([ModelRequest(kernels)], [CPU], costs)
    assert problem.costs.full.shape == (len(kernels.graph.nodes), 1)
    assert costs.rows == len({operator.canonical for operator in kernels.operators})
    assert costs.calls == ["cpu:0"]


def test_copies_are_paid_once_per_target() -> None:
    from app.planning.plan import Draft, Work

    problem = Problem(
        [ModelRequest(graph_of([[], [0], [0, 1]], ["Conv"] * 3))],
        [CPU, GPU],
        HashedCosts(transfer_cost=Transfer(100.0, 0.0)),
    )
    timeline = simulate(problem, Draft((Work((0,), 0), Work((1,), 1), Work((2,), 1))))
    assert [len(copies) for copies in timeline.copies] == [0, 1, 0]
    assert timeline.transfer_us == 100.0


def test_a_slowdown_that_flips_the_ranking_is_told() -> None:
    result = plan(request(strategies=["mace"]))
    best = result.plans[0]
    processor = best.stages[0].processor
    assert set(best.flips) == {processor}
    assert all(not item.flips for item in result.plans[1:])
    second = result.plans[1].latency_us.mean
    assert best.latency_us.mean * best.flips[processor] > second * 0.95
