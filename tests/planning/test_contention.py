from app.planning.contention import contended
from app.planning.costs import Contention
from app.planning.plan import Draft, Work
from app.planning.planner import plan
from app.planning.problem import ModelRequest, Problem
from app.planning.request import PlanningRequest
from app.planning.timeline import simulate
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

FORK = graph_of([[], [0], [0], [1, 2]], ["Conv"] * 4)
SIDE_BY_SIDE = Draft((Work((0,), 0), Work((1,), 0), Work((2,), 1), Work((3,), 0)))


def test_nothing_is_slowed_until_something_was_learned() -> None:
    problem = Problem([ModelRequest(FORK)], [CPU, GPU], HashedCosts())
    timeline = simulate(problem, SIDE_BY_SIDE)
    assert contended(problem, timeline) is timeline


def test_only_what_runs_side_by_side_is_slowed() -> None:
    for learned in (Contention(beside=0.3), Contention(per_demand=1e-3)):
        problem = Problem([ModelRequest(FORK)], [CPU, GPU], HashedCosts(beside=learned))
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
        costs = HashedCosts(beside=Contention(beside=beside))
        request = PlanningRequest([ModelRequest(FORK)], [CPU, GPU], costs)
        return next(item.latency_us.mean for item in plan(request).plans if item.strategy == "joint")

    assert best_us(0.0) < best_us(0.8)


def test_a_stage_tells_what_it_takes_alone_moves_and_reads() -> None:
    calm = PlanningRequest([ModelRequest(FORK)], [CPU, GPU], HashedCosts(), strategies=["branches"])
    busy = PlanningRequest(
        [ModelRequest(FORK)],
        [CPU, GPU],
        HashedCosts(beside=Contention(beside=0.3)),
        strategies=["branches"],
    )
    for request in (calm, busy):
        (found,) = plan(request).plans
        problem = Problem(request.models, request.processors, request.costs)
        names = [processor.name for processor in request.processors]
        for stage in found.stages:
            kernels = [int(name.removeprefix("op")) for name in stage.operators]
            column = names.index(stage.processor)
            alone = sum(problem.costs.rows[index][column] for index in kernels)
            assert abs(stage.compute_us - alone) < 1e-6
            assert stage.moved_bytes == problem.structure.moved_bytes[kernels].sum()
            assert set(stage.reads) <= {name for name in names if name != stage.processor}
