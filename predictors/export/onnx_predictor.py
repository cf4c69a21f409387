"""Predicting by the exported graphs: what ONNX Runtime needs beside them, and how to call it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from predictors.alarms import signs_of
from predictors.breaks import Breaks
from predictors.calm_model import Calm
from predictors.conformal import Calibration, widened
from predictors.context_features import context_vector
from predictors.correction import coordinates
from predictors.cost_law import kinds
from predictors.device_state import DeviceState, group_of
from predictors.doubt import Grounds
from predictors.features import feature_matrix
from predictors.forecast import Coverage, LatencyForecast, RunForecast
from predictors.graph import Operator
from predictors.operator_scatter import OperatorScatter
from predictors.run import PredictorKey, RunQuery
from predictors.software import current
from predictors.state_features import similar_residual, state_vector
from predictors.work import work

Floats = NDArray[np.float64]
Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Exported:
    """A version's two graphs and the few numbers that turn a query and a state into their inputs.

    `reference` names the calm profile (a state kept against another one is not used), `trees_reference` the
    trees (how far others were off is not used), `levels` are the calm levels of context fields, `breaks` says
    when the state stops to count, `correction_gain` how much of its bias is expected to stay, `standard` the
    quantiles of standardised misses, `calibration` what widens them, `scatter` how single operators scatter,
    `grounds` where levels are guesses.
    """

    key: PredictorKey
    predictor: str
    calm: bytes
    runtime: bytes
    reference: str
    trees_reference: str
    levels: Mapping[str, float]
    seen_types: frozenset[str]
    breaks: Breaks
    correction_gain: float
    standard: tuple[float, ...]
    calibration: Calibration
    scatter: OperatorScatter
    grounds: Grounds


def known_name(model: str, profiled: bool) -> str:
    """Return what the calm graph's input `model` must hold."""
    return f"{model}|{'+' if profiled else '-'}"


class OnnxPredictor:
    """Forecasts as the exported version does, by ONNX Runtime on one thread."""

    def __init__(self, exported: Exported) -> None:
        self._exported = exported
        self._calm = _session(exported.calm)
        self._runtime = _session(exported.runtime)
        self._width = self._runtime.get_inputs()[0].shape[1]

    def operator_latencies_us(self, operators: Sequence[Operator]) -> Floats:
        """Return the calm latency of each operator, shape (n,)."""
        feed = _operator_feed(operators) | {
            "profiled": np.array([1.0]),
            "model": np.array([""], dtype=object),
        }
        latencies: Floats = self._calm.run(["operators_us"], feed)[0]
        return latencies

    def forecast(self, query: RunQuery, state: DeviceState) -> RunForecast:
        """Forecast a run on the runtime rung."""
        exported = self._exported
        state = current(state, query, exported.reference, exported.trees_reference)
        calm = self.calm(query)
        vector = [*context_vector(query, calm, exported.levels), *state_vector(query, calm, state)]
        alarm = exported.calibration.alarm(signs_of(np.array(vector)))
        share = exported.breaks.share(np.array(vector))
        doubt_log = exported.grounds.doubt_log(query, calm.log_operators_us, known=calm.known, later=True)
        feed: Feed = {
            "circumstances": np.array([vector[: self._width]], dtype=np.float32),
            "group": np.array([group_of(query)], dtype=object),
            "log_calm_us": np.array([calm.log_total_us]),
            "state_log": np.array([similar_residual(calm, state)]),
            "correction_log": np.array([share * state.bias.correction_log(exported.correction_gain)]),
            "share": np.array([share]),
            "stays": np.array([exported.breaks.stays(np.array(vector))]),
            "standard": alarm * widened(exported.standard, state.widths.run),
            "doubt_log": np.array([doubt_log]),
        }
        outputs = ["mean_us", "quantiles_us", "stretch"]
        mean_us, quantiles, stretch = self._runtime.run(outputs, _taken(self._runtime, feed))
        return RunForecast(
            LatencyForecast(float(mean_us[0]), tuple(quantiles.tolist())),
            np.exp(calm.log_operators_us) * float(stretch[0]),
            Coverage(calm.learned, calm.fallback),
            exported.scatter,
            log(float(stretch[0])),
            state.widths,
            doubt_log,
        )

    def calm(self, query: RunQuery) -> Calm:
        """Return the run's calm expectation; its share of memory-bound time is not exported (0.5)."""
        feed = _operator_feed(query.operators) | {
            "profiled": np.array([float(query.profiled)]),
            "model": np.array([known_name(query.model, query.profiled)], dtype=object),
        }
        latencies, log_total, known = self._calm.run(["operators_us", "log_total_us", "known"], feed)
        types = [operator.op_type for operator in query.operators]
        seen = self._exported.seen_types
        learned = sum(name in seen for name in types) / len(types) if types else float(known[0])
        return Calm(
            log_total_us=float(log_total[0]),
            log_operators_us=np.log(latencies),
            operators_us=float(latencies.sum()),
            node_count=len(types),
            memory_share=0.5,
            learned=learned,
            fallback=tuple(sorted(set(types) - seen)),
            known=bool(known[0]),
        )


def _operator_feed(operators: Sequence[Operator]) -> Feed:
    """Return the calm graph's inputs for operators; scalars and unknown shapes included."""
    return {
        "work": np.array([work(operator) for operator in operators], dtype=np.float64).reshape(-1, 3),
        "place": coordinates(feature_matrix(operators)),
        "kinds": np.array([kinds(operator) for operator in operators], dtype=object).reshape(-1, 4),
        "op_type": np.array([operator.op_type for operator in operators], dtype=object),
        "signature": np.array([operator.signature for operator in operators], dtype=object),
    }


def _taken(session: onnxruntime.InferenceSession, feed: Feed) -> Feed:
    """Return the inputs that a graph really has: what has no influence is not part of it."""
    names = {item.name for item in session.get_inputs()}
    return {name: value for name, value in feed.items() if name in names}


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
