"""The exported graphs answer as the version does, on operators and circumstances of every kind."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from predictors.device_state import DeviceState
from predictors.evaluate import TestThenTrain
from predictors.export.exporting import export_version
from predictors.export.files import from_files, to_files
from predictors.export.onnx_predictor import OnnxPredictor
from predictors.forecast import LatencyForecast, Rung
from predictors.graph import Operator
from predictors.operator_model import OperatorModel, OperatorSample
from predictors.run import Run
from predictors.schedule import Schedule
from predictors.version import PredictorVersion
from tests.operators import odd_operators
from tests.synthetic import KEY, World, network

PARITY = 1e-4


class Fitted:
    """A learned version, trees appended to it, its export, and runs after it with the device's states."""

    def __init__(self) -> None:
        world = World(seed=11)
        engine = TestThenTrain(schedule=Schedule(append_after=40, append_margin=-100.0))
        engine.calibrate(world.calm(120))
        engine.warm_up(world.changing(300))
        for run in world.changing(50):
            engine.step(run)
        self.version: PredictorVersion = engine.version(KEY)
        assert self.version.runtime.appended
        self.predictor = OnnxPredictor(export_version(self.version))
        self.cases: list[tuple[Run, DeviceState]] = []
        for run in world.changing(120):
            engine.step(run)
            self.cases.append((run, engine.state(run.query.device_id, KEY)))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return Fitted()


def figures(forecast: LatencyForecast) -> list[float]:
    return [forecast.mean_us, *forecast.quantiles_us]


def assert_same(fitted: Fitted, run: Run, state: DeviceState) -> None:
    expected = fitted.version.forecast(run.query, state, (Rung.RUNTIME,))[Rung.RUNTIME]
    got = fitted.predictor.forecast(run.query, state)
    assert figures(got.total) == pytest.approx(figures(expected.total), rel=PARITY)
    assert got.operators_us == pytest.approx(expected.operators_us, rel=PARITY)
    assert got.operator_quantiles_us() == pytest.approx(expected.operator_quantiles_us(), rel=PARITY)
    assert got.coverage == expected.coverage


def test_learned_trees_are_part_of_what_is_exported(fitted: Fitted) -> None:
    assert fitted.version.runtime.median is not None
    exported = export_version(fitted.version)
    kinds = [node.op_type for node in onnx.load_from_string(exported.runtime).graph.node]
    assert "TreeEnsembleRegressor" in kinds


def test_files_hold_all_that_predicting_needs(fitted: Fitted) -> None:
    copy = from_files(to_files(export_version(fitted.version)))
    assert copy.predictor == fitted.version.digest
    run, state = fitted.cases[3]
    ours, theirs = fitted.predictor.forecast(run.query, state), OnnxPredictor(copy).forecast(run.query, state)
    assert figures(theirs.total) == figures(ours.total)
    assert (theirs.operator_quantiles_us() == ours.operator_quantiles_us()).all()


def test_forecasts_agree_on_runs_and_states_of_a_stream(fitted: Fitted) -> None:
    for run, state in fitted.cases:
        assert_same(fitted, run, state)


def test_forecasts_agree_without_state_or_on_an_outdated_one(fitted: Fitted) -> None:
    run, state = fitted.cases[-1]
    for other in (DeviceState.initial(), replace(state, reference="another")):
        assert_same(fitted, run, other)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(odd_operators, max_size=6),
    st.dictionaries(
        st.sampled_from(["probe_memory_us", "probe_compute_us", "cpu_pressure", "idle_before_us"]),
        st.floats(0.0, 1e7),
    ),
    st.booleans(),
    st.sampled_from(["net1", "never seen"]),
)
@example(operators=[], context={"probe_memory_us": 5e-324}, profiled=False, model="net1")
def test_forecasts_agree_on_random_operators_and_contexts(
    fitted: Fitted, operators: list[Operator], context: dict[str, float], profiled: bool, model: str
) -> None:
    run, state = fitted.cases[7]
    query = replace(run.query, operators=tuple(operators), context=context, profiled=profiled, model=model)
    assert_same(fitted, replace(run, query=query), state)


def test_a_prior_without_any_run_can_be_exported() -> None:
    version = PredictorVersion(KEY)
    predictor = OnnxPredictor(export_version(version))
    query = World().run("s0", "net2", profiled=True).query
    expected = version.forecast(query, DeviceState.initial(), (Rung.RUNTIME,))[Rung.RUNTIME]
    got = predictor.forecast(query, DeviceState.initial())
    assert figures(got.total) == pytest.approx(figures(expected.total), rel=PARITY)


def test_operator_models_with_siblings_are_exported_too() -> None:
    samples = [OperatorSample(op, 10.0 + 3.0 * i, 4) for i, op in enumerate(dict.fromkeys(network(3)))]
    siblings = OperatorModel.fit(samples).scaled(0.7)
    own = OperatorModel.fit(samples[:4], siblings=siblings)
    assert len(own.corrections) == 2
    version = PredictorVersion(KEY)
    version = replace(version, calm=replace(version.calm, operators=own))
    predictor = OnnxPredictor(export_version(version))
    operators = [*network(3), *network(60), Operator("NoSuchOperator")]
    expected = np.exp(own.log_latency_us(operators))
    assert predictor.operator_latencies_us(operators) == pytest.approx(expected, rel=PARITY)


def test_operators_that_fall_back_are_exported_too() -> None:
    samples = [OperatorSample(op, 10.0 + i, 4, op.op_type == "Relu") for i, op in enumerate(set_of(3))]
    model = OperatorModel.fit([*samples, OperatorSample(set_of(4)[0], 90.0, 4, fell_back=True)])
    assert model.fall_backs.exceptions
    version = PredictorVersion(KEY)
    predictor = OnnxPredictor(export_version(replace(version, calm=replace(version.calm, operators=model))))
    operators = [*network(3), *network(4), Operator("NoSuchOperator")]
    expected = np.exp(model.log_latency_us(operators))
    assert predictor.operator_latencies_us(operators) == pytest.approx(expected, rel=PARITY)


def set_of(seed: int) -> list[Operator]:
    return list(dict.fromkeys(network(seed)))


def test_predicting_needs_no_lightgbm() -> None:
    code = "import sys, predictors.export.onnx_predictor; sys.exit('lightgbm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
