"""The runtime rung as an ONNX graph: circumstances, calm length and state in, the forecast out.

Inputs: `circumstances` float32 (1, width), the vector of `PredictorVersion.features`; `group` string (1,);
`log_calm_us`, `state_log`, `correction_log` and `widen_log` float64 (1,). Outputs: `forecast_us`
float64 (6,): mean, median, 90 % and 99 % quantiles, low and high of the 90 % interval; `stretch`
float64 (1,): what calm operator latencies are to be multiplied by to give conditional means.
"""

import numpy as np
import onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from predictors.boosted import Boosted
from predictors.context_features import FROZEN_NAMES
from predictors.context_model import LEAST_SPREAD, LEVELS
from predictors.export.graphs import Builder, Declared
from predictors.version import PredictorVersion

STRING, DOUBLE, FLOAT = onnx.TensorProto.STRING, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT

_LOW, _HIGH = LEVELS.index(0.05), LEVELS.index(0.95)
_P90, _P99 = LEVELS.index(0.9), LEVELS.index(0.99)


def runtime_graph(version: PredictorVersion) -> bytes:
    """Return the graph's bytes."""
    build = Builder()
    model = version.runtime
    zero = build.constant([0.0])
    learned = zero if model.median is None else _trees(build, model.median)
    learned = build.op(
        "Add", learned, build.numbers("group", {} if model.median is None else model.offsets, 0.0)
    )
    spread = build.constant([model.default_spread])
    if model.spread is not None:
        raw = build.op("Exp", _trees(build, model.spread))
        spread = build.op("Max", raw, build.constant([LEAST_SPREAD]))
    smeared = build.op("Max", build.op("Mul", spread, build.constant([model.smear])), build.constant([-0.5]))
    one = build.constant([1.0])
    smear = zero if model.median is None else build.op("Log", build.op("Add", smeared, one))
    trust = _trust(build, version)
    rest = build.op("Mul", build.op("Sub", one, trust), "state_log")
    shift = build.op("Add", rest, "correction_log")
    median = build.op("Add", build.op("Mul", trust, learned), shift)
    mean = build.op("Add", build.op("Mul", trust, build.op("Add", learned, smear)), shift)
    point = build.op("Add", "log_calm_us", median)
    scale = build.op("Mul", spread, build.op("Exp", "widen_log"))
    forecast, mean_us = _forecast(build, model.standard, point, scale, build.op("Add", "log_calm_us", mean))
    stretch = build.op("Div", mean_us, build.op("Exp", "log_calm_us"))
    scalar: Declared = (DOUBLE, [1])
    return build.model(
        "runtime",
        {
            "circumstances": (FLOAT, [1, model.width]),
            "group": (STRING, [1]),
            **dict.fromkeys(("log_calm_us", "state_log", "correction_log", "widen_log"), scalar),
        },
        {"forecast_us": (forecast, [6]), "stretch": (stretch, [1])},
        {"predictor": version.digest},
    )


def _trees(build: Builder, boosted: Boosted) -> str:
    """Add a LightGBM ensemble, converted by onnxmltools, as a float64 value of shape (1,)."""
    features = [("circumstances", FloatTensorType([None, boosted.feature_count]))]
    converted = convert_lightgbm(boosted.booster, initial_types=features, target_opset=15, zipmap=False)
    ensembles = [node for node in converted.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(ensembles) != 1:
        raise ValueError(f"the trees were converted into {len(ensembles)} ensembles instead of one")
    output = f"trees_{len(build.nodes)}"
    ensembles[0].input[:], ensembles[0].output[:], ensembles[0].name = ["circumstances"], [output], output
    build.nodes.append(ensembles[0])
    return build.double(build.op("Reshape", output, build.indexes(1)))


def _trust(build: Builder, version: PredictorVersion) -> str:
    """Add how far the trees are trusted: fully where no state is known."""
    if version.runtime.median is None:
        return build.constant([0.0])
    first = build.op("Gather", "circumstances", build.indexes(len(FROZEN_NAMES)), axis=1)
    stateless = build.op("Reshape", build.op("IsNaN", first), build.indexes(1))
    return build.op("Where", stateless, build.constant([1.0]), build.constant([version.trust]))


def _forecast(
    build: Builder, standard: tuple[float, ...], point: str, scale: str, log_mean: str
) -> tuple[str, str]:
    """Add the quantiles around the point, in order and within bounds; return all six and the mean."""
    quantiles = build.op("Add", point, build.op("Mul", scale, build.constant(np.array(standard))))
    mean, p50, all_us = (
        build.op("Exp", build.clipped(value, -1.0, 25.0)) for value in (log_mean, point, quantiles)
    )

    def quantile(place: int) -> str:
        return build.op("Gather", all_us, build.indexes(place), axis=0)

    p90 = build.op("Max", p50, quantile(_P90))
    low = build.op("Min", p50, quantile(_LOW))
    high = build.op("Max", p90, quantile(_HIGH))
    p99 = build.op("Max", high, quantile(_P99))
    return build.op("Concat", mean, p50, p90, p99, low, high, axis=0), mean
