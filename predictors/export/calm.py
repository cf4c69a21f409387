"""The calm model as an ONNX graph: operators in, calm latencies and the run's calm length out.

Inputs for n operators: `work` float64 (n, 3), see `predictors.work`; `place` float64 (n, n_columns), see
`predictors.correction`; `kinds` string (n, 4), see `predictors.cost_law`; `op_type` and `signature`
string (n,). For the run: `profiled` float64 (1,) and `model` string (1,), the model's key with `|+` appended
if it is profiled and `|-` if not. Outputs: `operators_us` float64 (n,), `log_total_us` and `known` (0 or 1)
float64 (1,).
"""

from math import isfinite, log, nan

import numpy as np
import onnx

from predictors.calm_model import CalmModel, RunLaw, known_level
from predictors.correction import Correction
from predictors.cost_law import PRIOR_LOG, CostLaw
from predictors.export.graphs import Builder, Declared, Shape
from predictors.export.onnx_predictor import known_name
from predictors.families import FAMILIES
from predictors.operator_model import FLOOR_US, MOST_LOG, OperatorModel

STRING, DOUBLE = onnx.TensorProto.STRING, onnx.TensorProto.DOUBLE


def calm_graph(calm: CalmModel, columns: int) -> bytes:
    """Return the graph's bytes; `columns` is the width of `place`."""
    build = Builder()
    latencies = build.op("Exp", _operators(build, calm.operators))
    log_total, known = _total(build, calm, latencies)
    n = ["n"]
    inputs: dict[str, Declared] = {
        "work": (DOUBLE, ["n", 3]),
        "place": (DOUBLE, ["n", columns]),
        "kinds": (STRING, ["n", 4]),
        "op_type": (STRING, n),
        "signature": (STRING, n),
        "profiled": (DOUBLE, [1]),
        "model": (STRING, [1]),
    }
    outputs: dict[str, tuple[str, Shape]] = {
        "operators_us": (latencies, n),
        "log_total_us": (log_total, [1]),
        "known": (known, [1]),
    }
    return build.model("calm", inputs, outputs, {"reference": calm.reference})


def _operators(build: Builder, model: OperatorModel) -> str:
    """Add a model of operators: log latencies where each is expected to run."""
    logs = _law(build, model.law)
    for correction in model.corrections:
        logs = build.op("Add", logs, _correction(build, correction))
    bounds = (log(FLOOR_US), MOST_LOG)
    memory = build.numbers("signature", model.measured, 0.0)
    logs = build.clipped(build.op("Add", build.clipped(logs, *bounds), memory), *bounds)
    if model.elsewhere is None:
        return logs
    fall_backs = model.fall_backs
    usual = build.codes(
        "op_type", {name: int(fall_backs.expected_of_type(name)) for name in fall_backs.types}, 0
    )
    own = build.codes("signature", {name: int(away) for name, away in fall_backs.exceptions.items()}, -1)
    chosen = build.op("Where", build.op("Less", own, build.indexes(0)), usual, own)
    return build.op(
        "Where", build.op("Greater", chosen, build.indexes(0)), _operators(build, model.elsewhere), logs
    )


def _law(build: Builder, law: CostLaw) -> str:
    """Add the law: rates of the deepest node known, times the work; row 0 is the root."""
    nodes = [node for node in law.log_rates if node]
    table = np.array([law.log_rates.get("", PRIOR_LOG), *(law.log_rates[node] for node in nodes)])
    codes = build.codes("kinds", {node: row + 1 for row, node in enumerate(nodes)}, 0)
    chosen = ""
    for depth in (1, 2, 3):
        row = build.op("Gather", codes, build.constant(np.array(depth)), axis=1)
        met = build.op("Greater", row, build.indexes(0))
        chosen = build.op("Where", met, row, chosen) if chosen else row
    rates = build.op("Exp", build.op("Gather", build.constant(table), chosen, axis=0))
    start = build.op("Slice", rates, build.indexes(0), build.indexes(1), build.indexes(1))
    rest = build.op("Slice", rates, build.indexes(1), build.indexes(4), build.indexes(1))
    parts = build.op("Concat", start, build.op("Mul", rest, "work"), axis=1)
    return build.op("Log", build.op("ReduceSum", parts, build.indexes(1), keepdims=0))


def _correction(build: Builder, correction: Correction) -> str:
    """Add the Gaussian process: covariance of each operator with the points, times their weights."""
    prior, points = correction.prior, correction.points
    square = build.op("ReduceSum", build.op("Mul", "place", "place"), build.indexes(1), keepdims=1)
    sums = build.op("Add", square, build.constant(np.sum(points**2, axis=1)))
    inner = build.op("MatMul", "place", build.constant(np.ascontiguousarray(2.0 * points.T)))
    apart = build.op("Max", build.op("Sub", sums, inner), build.constant(0.0))
    near = build.op("Exp", build.op("Mul", apart, build.constant(-0.5 / prior.reach)))
    near = build.op("Mul", near, build.constant(prior.near**2))
    near = build.op("Add", near, build.constant(prior.family**2))
    types = {name: code for code, name in enumerate(sorted(set(correction.op_types)))}
    families = {f"family:{name}": code for code, name in enumerate(FAMILIES)}
    family = build.op("Gather", "kinds", build.constant(np.array(2)), axis=1)
    same_family = _same(
        build, build.codes(family, families, -1), [families[f"family:{f}"] for f in correction.families]
    )
    same_type = _same(build, build.codes("op_type", types, -1), [types[name] for name in correction.op_types])
    covariance = build.op(
        "Add",
        build.op("Mul", same_family, near),
        build.op("Mul", same_type, build.constant(prior.op_type**2)),
    )
    column = build.op("MatMul", covariance, build.constant(correction.weights[:, None]))
    return build.op("Squeeze", column, build.indexes(1))


def _same(build: Builder, codes: str, points: list[int]) -> str:
    """Add a comparison of each operator's code with each point's, as 0 or 1, shape (n, n_points)."""
    column = build.op("Unsqueeze", codes, build.indexes(1))
    return build.double(build.op("Equal", column, build.indexes(*points)))


def _total(build: Builder, calm: CalmModel, latencies: str) -> tuple[str, str]:
    """Add the run laws, the levels of known networks, and what stands for a run without operators."""
    added = build.op("ReduceSum", latencies, build.indexes(0), keepdims=1)
    count = build.double(build.op("Shape", "op_type"))
    profiled = build.op("Greater", "profiled", build.constant([0.5]))
    lengths = [_run_law(build, law, added, count) for law in (calm.profiled, calm.unprofiled)]
    by_law = build.op("Log", build.op("Where", profiled, *lengths))
    empty = build.op("Less", count, build.constant([0.5]))
    by_law = build.op("Where", empty, build.constant([calm.log_typical_us]), by_law)
    levels = {}
    for model, entry in calm.known.items():
        for timed in (False, True):
            log_us = known_level(entry, timed, nan, calm)
            if isfinite(log_us):
                levels[known_name(model, timed)] = log_us
    level = build.numbers("model", levels, nan)
    unknown = build.op("IsNaN", level)
    known = build.double(build.op("Not", unknown))
    return build.op("Where", unknown, by_law, level), known


def _run_law(build: Builder, law: RunLaw, added: str, count: str) -> str:
    gaps = build.op("Mul", count, build.constant([law.per_node_us]))
    length = build.op("Add", build.op("Add", added, gaps), build.constant([law.start_us]))
    least = build.op("Max", build.op("Div", added, build.constant([3.0])), build.constant([1.0]))
    return build.op("Max", length, least)
