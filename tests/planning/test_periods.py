import pytest

from app.planning.periods import MAX_JOBS, unrolled
from app.planning.planner import plan
from app.planning.problem import ModelRequest
from app.planning.request import PlanningRequest
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

SMALL = graph_of([[], [0]], ["Conv", "Relu"])


def test_one_shot_models_stay_as_they_are() -> None:
    models = (ModelRequest(SMALL), ModelRequest(SMALL, after=(0,)))
    assert unrolled(models).requests == models


def test_jobs_fill_one_hyper_period() -> None:
    late = ModelRequest(SMALL, period_us=300.0, release_us=10.0)
    jobs = unrolled([ModelRequest(SMALL, period_us=200.0), late])
    assert jobs.horizon_us == 600.0
    assert jobs.model_of == (0, 1, 0, 1, 0)
    assert [job.release_us for job in jobs.requests] == [0.0, 10.0, 200.0, 310.0, 400.0]


def test_precedence_pairs_jobs() -> None:
    detect = ModelRequest(SMALL, period_us=100.0)
    match = ModelRequest(SMALL, period_us=100.0, after=(0,))
    slow = ModelRequest(SMALL, period_us=200.0, after=(0,))
    jobs = unrolled([detect, match, slow])
    assert jobs.model_of == (0, 1, 2, 0, 1)
    assert [job.after for job in jobs.requests] == [(), (0,), (0,), (), (3,)]


def test_too_many_jobs_shorten_the_horizon_and_say_so() -> None:
    jobs = unrolled([ModelRequest(SMALL, period_us=997.0), ModelRequest(SMALL, period_us=1009.0)])
    assert len(jobs.requests) <= MAX_JOBS
    assert "hyper-period" in jobs.note
    with pytest.raises(ValueError, match="periods"):
        unrolled([ModelRequest(SMALL, period_us=1.0), ModelRequest(SMALL, period_us=1e6)])


def test_periodic_plans_place_every_job_and_judge_every_deadline() -> None:
    models = [
        ModelRequest(SMALL, period_us=2000.0, deadline_us=1500.0),
        ModelRequest(SMALL, period_us=4000.0, deadline_us=4000.0, after=(0,)),
    ]
    result = plan(PlanningRequest(models, [CPU, GPU], HashedCosts()))
    for item in result.plans:
        assert len(item.deadline_met) == 2
        assert {stage.model for stage in item.stages} == {0, 1}
        placed = sorted((stage.model, name) for stage in item.stages for name in stage.operators)
        if all(stage.split is None for stage in item.stages):
            assert placed == [(0, "op0")] * 2 + [(0, "op1")] * 2 + [(1, "op0"), (1, "op1")]
        starts = [stage.start_us for stage in item.stages if stage.model == 0 and "op0" in stage.operators]
        assert max(starts) >= 2000.0
