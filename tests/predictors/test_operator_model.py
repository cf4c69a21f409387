import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.calm_fit import operator_samples
from predictors.graph import Operator
from predictors.operator_model import MOST_SAMPLES, PRIOR, OperatorModel, OperatorSample
from predictors.run import PredictorKey, Run, RunQuery
from tests.operators import conv, odd_operators
from tests.synthetic import network, true_latency_us


def samples(seeds: range, factor: float = 1.0) -> list[OperatorSample]:
    operators = sorted({op for seed in seeds for op in network(seed)}, key=lambda op: op.signature)
    return [OperatorSample(op, factor * true_latency_us(op), 5) for op in operators]


MODEL = OperatorModel.fit(samples(range(8)))


def test_networks_never_measured_are_predicted() -> None:
    unseen = [op for seed in range(100, 110) for op in network(seed)]
    truth = np.array([true_latency_us(op) for op in unseen])
    predicted = np.exp(MODEL.log_latency_us(unseen, remember=False))
    assert np.abs(predicted / truth - 1.0).mean() < 0.15
    assert predicted.sum() == pytest.approx(truth.sum(), rel=0.08)


def test_measured_operators_lean_on_their_own_measurements() -> None:
    odd = OperatorSample(conv(24, 24, 10), 5_000.0, 1_000)
    model = OperatorModel.fit([*samples(range(8)), odd])
    assert np.exp(model.log_latency_us([odd.operator]))[0] == pytest.approx(5_000.0, rel=0.05)
    assert np.exp(model.log_latency_us([odd.operator], remember=False))[0] < 2_500.0


def test_a_sample_is_the_middle_run_of_what_an_operator_takes_on_average_there() -> None:
    operator, other = conv(8, 8, 8), conv(16, 16, 8)
    query = RunQuery(PredictorKey("soc", "cpu", "runtime"), "d", "net", 0, (operator, other, operator), {})
    cold_then_warm, interrupted = [30.0, 7.0, 10.0], [30.0, 7.0, 900.0]
    runs = [
        Run(str(number), query, 0.0, np.array(latency_us))
        for number, latency_us in enumerate([cold_then_warm, interrupted, cold_then_warm])
    ]
    told = {sample.operator: (sample.latency_us, sample.count) for sample in operator_samples(runs)}
    assert told == {operator: (20.0, 6), other: (7.0, 3)}
    assert operator_samples([replace(run, latency_us=np.empty(0)) for run in runs]) == []


def test_nothing_measured_gives_the_prior_or_the_siblings() -> None:
    assert OperatorModel.fit([]) is PRIOR
    assert OperatorModel.fit([], siblings=MODEL) is MODEL


def test_fallback_names_types_never_fitted() -> None:
    strangers = [conv(8, 8, 8), Operator("GridSample"), Operator("Erf")]
    assert MODEL.fallback(strangers) == ("Erf", "GridSample")


def test_a_copy_through_json_predicts_exactly_the_same() -> None:
    operators = [op for seed in range(4, 12) for op in network(seed)]
    copy = OperatorModel.from_json(json.loads(json.dumps(MODEL.to_json())))
    assert np.array_equal(copy.log_latency_us(operators), MODEL.log_latency_us(operators))


def test_another_version_of_the_features_is_refused() -> None:
    with pytest.raises(ValueError, match="refit"):
        OperatorModel.from_json({**MODEL.to_json(), "features_version": 0})


@given(st.lists(odd_operators, max_size=8))
def test_any_operator_gets_a_finite_latency(operators: list[Operator]) -> None:
    for model in (MODEL, PRIOR):
        logs = model.log_latency_us(operators)
        assert logs.shape == (len(operators),)
        assert np.isfinite(logs).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(odd_operators, min_size=1, max_size=6), st.sampled_from([0.0, 7.0, 1e9]))
def test_constant_odd_or_single_samples_can_be_fitted(operators: list[Operator], latency_us: float) -> None:
    model = OperatorModel.fit([OperatorSample(operator, latency_us, 1) for operator in operators])
    assert np.isfinite(model.log_latency_us([*operators, conv(8, 8, 8)])).all()


def test_fitting_a_hundred_thousand_timings_is_quick() -> None:
    """1,000 distinct operators timed 100 times each, and more distinct ones than are kept."""
    operators = [conv(8 + i % 97, 8 + i // 97, 7 + i % 13, kernel=1) for i in range(MOST_SAMPLES + 1_000)]
    for count in (1_000, len(operators)):
        chosen = [OperatorSample(op, true_latency_us(op), 100) for op in operators[:count]]
        started = time.process_time()
        OperatorModel.fit(chosen)
        assert time.process_time() - started < 10.0


def test_120_operators_are_predicted_within_a_millisecond_once_met() -> None:
    operators = [op for seed in range(200, 206) for op in network(seed)][:120]
    MODEL.log_latency_us(operators)
    quickest = min(_timed(operators) for _ in range(20))
    assert quickest < 1e-3


def _timed(operators: list[Operator]) -> float:
    started = time.perf_counter()
    MODEL.log_latency_us(operators)
    return time.perf_counter() - started
