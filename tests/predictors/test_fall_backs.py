import json
from dataclasses import replace

import numpy as np
import pytest

from predictors.calm_fit import fit_calm, operator_samples
from predictors.fall_backs import NO_FALL_BACKS, FallBacks
from predictors.graph import Operator
from predictors.operator_model import OperatorModel, OperatorSample
from predictors.run import PredictorKey, Run, RunQuery
from predictors.transfer import Pool
from tests.operators import conv
from tests.synthetic import relu

GPU = PredictorKey("soc-a", "gpu", "test-runtime")
CONVS = [conv(8 * i, 8 * i, 14) for i in range(1, 9)]
RELUS = [relu(8 * i, 14) for i in range(1, 9)]


def on_gpu_us(operator: Operator) -> float:
    return 100.0 if operator.op_type == "Conv" else 40.0


def samples(relus_elsewhere: int = 8, slower: float = 1.0) -> list[OperatorSample]:
    """Convolutions run on the GPU; so many of the activations take thirty times as long, elsewhere."""
    here = [*CONVS, *RELUS[relus_elsewhere:]]
    away = RELUS[:relus_elsewhere]
    return [OperatorSample(op, on_gpu_us(op), 60) for op in here] + [
        OperatorSample(op, slower * 30.0 * on_gpu_us(op), 60, fell_back=True) for op in away
    ]


def us(model: OperatorModel, *operators: Operator) -> list[float]:
    return np.exp(model.log_latency_us(operators)).tolist()


def test_an_operator_goes_where_it_went_and_others_where_most_of_their_type_did() -> None:
    timings = [
        (relu(8, 8), 3, True),
        (relu(16, 8), 3, True),
        (relu(24, 8), 3, False),
        (conv(8, 8, 8), 1, False),
    ]
    fall_backs = FallBacks.fit(timings)
    asked = [relu(8, 8), relu(24, 8), relu(99, 8), conv(8, 8, 8), conv(16, 8, 8), Operator("Never")]
    assert [fall_backs.expected(op) for op in asked] == [True, False, True, False, False, False]
    assert FallBacks(**json.loads(json.dumps(fall_backs.to_json()))) == fall_backs


def test_few_operators_of_a_type_lean_on_what_siblings_showed() -> None:
    siblings = FallBacks.fit([(op, 3, True) for op in RELUS])
    assert FallBacks.fit([(conv(8, 8, 8), 3, False)], siblings).expected(relu(99, 8))
    own = FallBacks.fit([(op, 3, False) for op in RELUS[:2]], siblings)
    assert not own.expected(RELUS[0])
    assert not own.expected(relu(99, 8))


def test_operators_that_ran_elsewhere_do_not_teach_the_processor() -> None:
    model, without = OperatorModel.fit(samples()), OperatorModel.fit(samples()[:8])
    fresh = [conv(20, 20, 14), Operator("Sigmoid", ((1, 8, 14, 14),), ((1, 8, 14, 14),))]
    assert us(model, *fresh) == us(without, *fresh)
    assert us(model, relu(20, 14))[0] == pytest.approx(1_200.0, rel=0.3)
    assert us(model, RELUS[0])[0] == pytest.approx(1_200.0, rel=0.1)


def test_a_type_counts_as_known_where_it_is_expected_to_run() -> None:
    model = OperatorModel.fit(samples())
    assert model.fallback([*CONVS, *RELUS]) == ()
    assert model.was_measured(RELUS[0])
    assert not model.was_measured(relu(20, 14))
    # Siblings hand over poolings; this processor never timed one, here or elsewhere.
    pool = Operator("MaxPool", ((1, 8, 14, 14),), ((1, 8, 7, 7),))
    siblings = OperatorModel.fit([*samples(), OperatorSample(pool, 500.0, 3, fell_back=True)])
    pooled = Pool.fit({PredictorKey("soc-b", "gpu", "test-runtime"): [OperatorSample(pool, 9.0, 1, True)]})
    assert OperatorModel.fit(samples(), siblings=pooled.start(GPU)).fallback([pool]) == ("MaxPool",)
    assert siblings.fallback([pool]) == ()


def test_a_type_that_runs_here_after_all_is_predicted_here() -> None:
    model = OperatorModel.fit(samples(relus_elsewhere=2))
    assert us(model, relu(60, 14))[0] == pytest.approx(40.0, rel=0.5)
    assert us(model, RELUS[0])[0] == pytest.approx(1_200.0, rel=0.1)


def test_a_new_processor_takes_fall_backs_over_at_the_speed_of_its_relatives() -> None:
    other = PredictorKey("soc-b", "gpu", "test-runtime")
    pool = Pool.fit({GPU: samples(), other: samples(slower=4.0)})
    started = pool.start(replace(other, processor="gpu:1"))
    assert us(started, relu(20, 14))[0] == pytest.approx(4_800.0, rel=0.3)
    assert us(started, conv(20, 20, 14))[0] == pytest.approx(100.0, rel=0.3)


def test_a_copy_through_json_predicts_exactly_the_same() -> None:
    model = OperatorModel.fit(samples(relus_elsewhere=5))
    copy = OperatorModel.from_json(json.loads(json.dumps(model.to_json())))
    operators = [*CONVS, *RELUS, relu(60, 14)]
    assert us(copy, *operators) == us(model, *operators)
    old = {name: part for name, part in model.to_json().items() if name not in ("fall_backs", "elsewhere")}
    assert OperatorModel.from_json(old).fall_backs == NO_FALL_BACKS
    sample = samples()[-1]
    assert OperatorSample.from_json(json.loads(json.dumps(sample.to_json()))) == sample
    assert not OperatorSample.from_json(sample.to_json()[:3]).fell_back


def test_the_same_operator_timed_in_both_places_is_kept_apart() -> None:
    query = RunQuery(GPU, "device", "net", 0, (CONVS[0], RELUS[0]), {})
    runs = [
        Run("here", query, 140.0, np.array([100.0, 40.0])),
        *(Run(f"away-{i}", query, 1_300.0, np.array([100.0, 1_200.0]), frozenset({1})) for i in range(3)),
    ]
    told = {(s.operator.op_type, s.fell_back): (s.latency_us, s.count) for s in operator_samples(runs)}
    assert told == {("Conv", False): (100.0, 4), ("Relu", False): (40.0, 1), ("Relu", True): (1_200.0, 3)}
    calm = fit_calm(runs).calm(query)
    # One sample far from the prior is believed half; the 40 µs of the GPU have no say.
    assert np.exp(calm.log_operators_us[1]) > 300.0
