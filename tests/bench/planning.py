"""Planning on real networks with a fitted predictor: time a request, and distance from the optimum."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.planning.bounds import lower_bound_us
from app.planning.costs import DEFAULT_SPREAD, Contention, Spread, Transfer, default_dispatch_us
from app.planning.distribution import Sampler, summary
from app.planning.effort import Effort
from app.planning.planner import plan
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.request import PlanningRequest, PlanningResult
from app.planning.search import BeamSearch
from app.planning.timeline import simulate
from predictors import fusion
from predictors.forecast import Rung
from predictors.fusion import KernelGraph
from predictors.graph import Operator
from predictors.onnx_reader import read
from predictors.operator_model import OperatorModel, OperatorSample
from tests.bench.row import Row, at_most
from tests.onnx_models import LIGHT, light
from tests.planning_cases import graph_of
from tests.planning_certificate import optimum_us
from tests.synthetic import true_latency_us

PROCESSORS = (
    Processor("cpu:0", "cpu", frozenset({"cpu:0"})),
    Processor("gpu", "gpu", frozenset({"gpu"}), frozenset({"Gemm", "Softmax"})),
    Processor("npu", "npu", frozenset({"npu"}), frozenset({"LRN", "Concat"})),
)
SPEED = {"cpu:0": 1.0, "gpu": 0.5, "npu": 0.4}
START_US = {"cpu:0": 0.0, "gpu": 15.0, "npu": 30.0}
REPEATS = 15
WIDE_STATES = 40
SOLVER_S = 60.0
GAP_NETWORKS = ("squeezenet", "resnet50", "inception_v1", "inception_v2")


class FittedCosts:
    """Latencies from one fitted operator model a processor, remembered as a serving predictor does."""

    def __init__(self, dispatch_us: float | None = None) -> None:
        self._dispatch_us = default_dispatch_us("cpu") if dispatch_us is None else dispatch_us
        self._models = {name: _model(name) for name in SPEED}

    def latencies_us(self, processor: str, operators: Sequence[Operator], rung: Rung) -> NDArray[np.float64]:
        return np.asarray(np.exp(self._models[processor].log_latency_us(operators)))

    def predict_afresh_us(self, processor: str, operators: Sequence[Operator]) -> NDArray[np.float64]:
        """Predict without remembering anything: one batched prediction of these rows."""
        return self._models[processor].log_latency_us(operators, remember=False)

    def spread(self, processor: str) -> Spread:
        return DEFAULT_SPREAD

    def transfer(self, source: str, target: str) -> Transfer:
        return Transfer(100.0, 1e-4)

    def dispatch_us(self, processor: str) -> float:
        return self._dispatch_us

    def contention(self, processor: str, beside: str) -> Contention:
        return Contention()

    def dtypes(self, processor: str) -> tuple[str, ...]:
        return ("float32",)


def run() -> list[Row]:
    """Time requests of a warm process; the clock is the processor's, so that neighbours disturb less."""
    costs = FittedCosts()
    rows = []
    resnet, densenet = _kernels("resnet50"), _kernels("densenet121")
    everything_ms = _median_ms(lambda: _plan(resnet, costs))
    batched_ms = _median_ms(lambda: _predict(resnet, costs))
    rows.append(at_most("ResNet-50, 3 processors, all strategies, p50", everything_ms, "ms", 25.0))
    rows.append(Row("… over one batched prediction of its kernels", everything_ms / batched_ms, "×"))
    both_ms = _median_ms(lambda: _plan(resnet, costs, ("mace", "chain")))
    rows.append(at_most("ResNet-50, mace and chain, p50", both_ms, "ms", 5.0))
    densenet_ms = _median_ms(lambda: _plan(densenet, costs), 5)
    rows.append(at_most("DenseNet-121 (557 kernels), all strategies, p50", densenet_ms, "ms", 120.0))
    large = _large_graph(2000)
    large_ms = _median_ms(lambda: _plan(large, costs), 3)
    rows.append(at_most("2,000 kernels with forks, all strategies", large_ms, "ms", 1000.0))
    for name in GAP_NETWORKS:
        found, wide, bound = _gap(name, costs)
        rows.append(
            at_most(f"{name}: joint over a {WIDE_STATES}-state search", 100 * (found / wide - 1), "%", 3.0)
        )
        rows.append(Row(f"{name}: joint over its lower bound", 100 * (found / bound - 1), "%"))
    rows += [_certified(name) for name in GAP_NETWORKS]
    rows.append(Row("networks where joint is strictly the best", _strictly_best(costs), f"of {len(LIGHT)}"))
    return rows


def _plan(kernels: KernelGraph, costs: FittedCosts, strategies: Sequence[str] = ()) -> PlanningResult:
    return plan(PlanningRequest([ModelRequest(kernels)], PROCESSORS, costs, strategies=strategies))


def _predict(kernels: KernelGraph, costs: FittedCosts) -> None:
    for processor in PROCESSORS:
        costs.predict_afresh_us(processor.name, list(kernels.operators))


def _gap(name: str, costs: FittedCosts) -> tuple[float, float, float]:
    """Mean latency of `joint` at a budget of 10 ms, of a search dozens of states wide, and the lower bound.

    Both means are of the sampled latency, which is a little above that of the mean timeline.
    """
    kernels = _kernels(name)
    found = next(item for item in _plan(kernels, costs).plans if item.strategy == "joint")
    problem = Problem([ModelRequest(kernels)], PROCESSORS, costs)
    sampler = Sampler.of(problem)
    best = found.latency_us.mean
    search = BeamSearch(problem, Effort(1e6), splits=True, incumbent_us=float("inf"))
    timelines = [simulate(problem, draft) for draft in search.run(width=WIDE_STATES)]
    wide = [
        summary(sampler.ends_us(timeline).max(axis=0), timeline.latency_us).mean for timeline in timelines
    ]
    return best, min([best, *wide]), lower_bound_us(problem, splits=True)


def _certified(name: str) -> Row:
    """Whole kernels only, free stages: the search in 10 ms over what a solver proves in 60 s."""
    costs = FittedCosts(dispatch_us=0.0)
    problem = Problem([ModelRequest(_kernels(name))], PROCESSORS, costs)
    search = BeamSearch(problem, Effort(10.0), splits=False, incumbent_us=float("inf"))
    found = min(simulate(problem, draft).latency_us for draft in search.run())
    solved, _ = optimum_us(problem, SOLVER_S)
    gap = 100 * (found / solved - 1)
    return at_most(f"{name}: whole kernels over the solver's optimum", gap, "%", 3.0)


def _strictly_best(costs: FittedCosts) -> float:
    count = 0
    for name in LIGHT:
        plans = [item for item in _plan(_kernels(name), costs).plans if not item.requires_retraining]
        joint = min(item.latency_us.mean for item in plans if item.strategy == "joint")
        count += joint < 0.99 * min(item.latency_us.mean for item in plans if item.strategy != "joint")
    return float(count)


def _median_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


@lru_cache
def _kernels(name: str) -> KernelGraph:
    return fusion.kernels(read(light(name)))


def _model(processor: str) -> OperatorModel:
    samples = [
        OperatorSample(operator, START_US[processor] + SPEED[processor] * true_latency_us(operator), 20)
        for operator in dict.fromkeys(operator for name in LIGHT for operator in _kernels(name).operators)
    ]
    return OperatorModel.fit(samples)


def _large_graph(kernels: int) -> KernelGraph:
    """A graph of many small forks and joins."""
    edges: list[list[int]] = [[]]
    while len(edges) < kernels:
        fork = len(edges) - 1
        edges += [[fork], [fork], [fork + 1], [fork + 2, fork + 3]]
    edges = edges[:kernels]
    types = ["Conv" if index % 2 else "Relu" for index in range(len(edges))]
    return graph_of(edges, types, (1, 64, 28, 28), tagged=False)
