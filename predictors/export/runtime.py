"""The runtime rung as an ONNX graph: circumstances, calm length and state in, the forecast out.

Inputs: `circumstances` float32 (1, width), the vector of `PredictorVersion.expected`; `group` string (1,);
`log_calm_us`, `state_log`, `correction_log`, `share` (how far the state counts in the median), `stays` (the
chance that it still tells the run) and `doubt_log` (`predictors.doubt`) float64 (1,); `standard`
float64 (9,), the quantiles of the standardised miss as the device and what announces larger ones widen them.
Outputs: `mean_us` float64 (1,); `quantiles_us` float64 (9,), at `LEVELS`; `stretch` float64 (1,): what calm
operator latencies are to be multiplied by to give conditional means.
"""

import lightgbm
import numpy as np
import onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from predictors.boosted import Boosted
from predictors.conformal import LEVELS, NORMAL
from predictors.context_features import FROZEN_NAMES
from predictors.context_model import LEAST_SPREAD, ContextModel
from predictors.expectation import UNTRIED_RUNS, UNTRIED_SPREAD
from predictors.export.graphs import Builder, Declared
from predictors.version import PredictorVersion

STRING, DOUBLE, FLOAT = onnx.TensorProto.STRING, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT

_SCALARS = ("log_calm_us", "state_log", "correction_log", "share", "stays", "doubt_log")


def runtime_graph(version: PredictorVersion) -> bytes:
    """Return the graph's bytes."""
    build = Builder()
    model = version.runtime
    learned, spread, mean = _stretch(build, model, "circumstances")
    trees = build.constant([version.trust.trees])
    recent = build.op("Mul", build.constant([version.trust.state]), "state_log")
    median = build.op("Add", build.op("Mul", trees, learned), recent)
    mean = build.op("Add", build.op("Mul", trees, mean), recent)
    edges = [build.indexes(edge) for edge in (0, len(FROZEN_NAMES), 1)]
    alone = _stretch(build, version.stateless, build.op("Slice", "circumstances", *edges))
    blended = _blended(build, "share", median, alone[0])
    spread = _blended(
        build, "stays", *(_reach(build, part, blended) for part in ((median, spread), (alone[0], alone[1])))
    )
    spread = _untried(build, spread, version.live_runs)
    mean = _blended(build, "share", mean, alone[2])
    median = blended
    median, mean = (build.op("Add", value, "correction_log") for value in (median, mean))
    point = build.op("Add", "log_calm_us", median)
    reach_log = version.calibration.reach_log
    away = build.clipped(build.op("Mul", spread, "standard"), -reach_log, reach_log)
    mean_us, quantiles = _forecast(build, point, away, build.op("Add", "log_calm_us", mean))
    stretch = build.op("Div", mean_us, build.op("Exp", "log_calm_us"))
    scalar: Declared = (DOUBLE, [1])
    return build.model(
        "runtime",
        {
            "circumstances": (FLOAT, [1, model.width]),
            "group": (STRING, [1]),
            **dict.fromkeys(_SCALARS, scalar),
            "standard": (DOUBLE, [len(LEVELS)]),
        },
        {"mean_us": (mean_us, [1]), "quantiles_us": (quantiles, [len(LEVELS)]), "stretch": (stretch, [1])},
        {"predictor": version.digest},
    )


def _stretch(build: Builder, model: ContextModel, rows: str) -> tuple[str, str, str]:
    """Add a context model: its median, spread and log of the mean, each float64 (1,)."""
    zero = build.constant([0.0])
    spread = build.constant([model.default_spread])
    if model.median is None:
        return zero, spread, zero
    median = build.op("Add", _trees(build, model.median, rows), build.numbers("group", model.offsets, 0.0))
    if model.spread is not None:
        raw = build.op("Exp", _trees(build, model.spread, rows))
        spread = build.op("Max", raw, build.constant([LEAST_SPREAD]))
    smeared = build.op("Max", build.op("Mul", spread, build.constant([model.smear])), build.constant([-0.5]))
    smear = build.op("Log", build.op("Add", smeared, build.constant([1.0])))
    return median, spread, build.op("Add", median, smear)


def _untried(build: Builder, spread: str, live_runs: int) -> str:
    """Add what few runs make of a spread."""
    runs = live_runs + UNTRIED_RUNS
    seen = build.op("Mul", spread, build.constant([live_runs / runs]))
    return build.op("Add", seen, build.constant([UNTRIED_SPREAD * UNTRIED_RUNS / runs]))


def _doubted(build: Builder, logs: str) -> str:
    """Add what doubt of the level makes of quantiles around a point (`predictors.conformal.doubted`)."""
    place = LEVELS.index(0.5)
    median = build.op("Slice", logs, *(build.indexes(edge) for edge in (place, place + 1, 0)))
    away = build.op("Sub", logs, median)
    doubt = build.op("Mul", build.constant(NORMAL), "doubt_log")
    squares = (build.op("Mul", part, part) for part in (away, doubt))
    wide = build.op("Sqrt", build.op("Add", *squares))
    return build.op("Add", median, build.op("Mul", build.constant(np.sign(NORMAL)), wide))


def _blended(build: Builder, share: str, own: str, other: str) -> str:
    rest = build.op("Sub", build.constant([1.0]), share)
    return build.op("Add", build.op("Mul", share, own), build.op("Mul", rest, other))


def _reach(build: Builder, part: tuple[str, str], point: str) -> str:
    """Add how far a run may be from a point where it is distributed by a median and a spread."""
    median, spread = part
    return build.op("Add", spread, build.op("Abs", build.op("Sub", median, point)))


def _trees(build: Builder, boosted: Boosted, rows: str) -> str:
    """Add a LightGBM ensemble, converted by onnxmltools, as a float64 value of shape (1,)."""
    features = [("circumstances", FloatTensorType([None, boosted.feature_count]))]
    booster = lightgbm.Booster(model_str=boosted.text)
    converted = convert_lightgbm(booster, initial_types=features, target_opset=15, zipmap=False)
    ensembles = [node for node in converted.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(ensembles) != 1:
        raise ValueError(f"the trees were converted into {len(ensembles)} ensembles instead of one")
    output = f"trees_{len(build.nodes)}"
    ensembles[0].input[:], ensembles[0].output[:], ensembles[0].name = [rows], [output], output
    build.nodes.append(ensembles[0])
    return build.double(build.op("Reshape", output, build.indexes(1)))


def _forecast(build: Builder, point: str, away: str, log_mean: str) -> tuple[str, str]:
    """Add the mean and the quantiles so far away from the point, in order and within bounds."""
    logs = build.op("Add", point, _doubted(build, away))
    mean, p50, all_us = (
        build.op("Exp", build.clipped(value, -1.0, 25.0)) for value in (log_mean, point, logs)
    )
    middle, count = LEVELS.index(0.5), len(LEVELS)
    below, above = (
        build.op("Slice", all_us, *(build.indexes(edge) for edge in edges))
        for edges in ((0, middle, 0), (middle + 1, count, 0))
    )
    ordered = (build.op("Min", p50, below), p50, build.op("Max", p50, above))
    return mean, build.op("Concat", *ordered, axis=0)
