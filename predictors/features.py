"""Operators as fixed-length vectors: the versioned input of every operator model.

A vector never raises and never holds an infinity: what is unknown is 0 (a size) or NaN (a hyper-parameter
that this kind of operator does not have). `FEATURES_VERSION` changes whenever the vector does, so that a
stored model never meets a vector it was not fitted on.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import log

import numpy as np
from numpy.typing import NDArray

from predictors import cost
from predictors.families import FAMILIES, family
from predictors.geometry import channels, kernel, strides
from predictors.graph import Operator, element_count
from predictors.work import padding, patch_bytes, work

FEATURES_VERSION = 3

NAMES = (
    *("family", "log_macs", "log_input_bytes", "log_weight_bytes", "log_output_bytes", "log_intensity"),
    *("log_executed_macs", "log_patch_bytes", "in_padding", "out_padding"),
    *("kernel_height", "kernel_width", "stride", "dilation", "log_group"),
    *("log_in_channels", "log_out_channels", "log_out_height", "log_out_width", "element_bytes"),
    *("is_integer", "fused_activation", "input_count", "output_count", "rank", "axis", "has_bias"),
    *("broadcasts", "log_inner", "permutation_moves_last"),
)
"""The vector's components, in order."""

_ACTIVATIONS = ("", "Relu", "Relu6", "Clip", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh", "LeakyRelu")


@lru_cache(maxsize=65_536)
def operator_features(operator: Operator) -> NDArray[np.float64]:
    """Return an operator's vector, float64, shape (len(NAMES),), read-only."""
    values = {**_costs(operator), **_hyperparameters(operator), **_shapes(operator)}
    vector = np.array([values[name] for name in NAMES])
    vector.setflags(write=False)
    return vector


def feature_matrix(operators: Sequence[Operator]) -> NDArray[np.float64]:
    """Return the vectors of many operators, shape (len(operators), len(NAMES))."""
    if not operators:
        return np.empty((0, len(NAMES)))
    return np.stack([operator_features(operator) for operator in operators])


def _log1(value: float) -> float:
    return log(1.0 + max(value, 0.0))


def _costs(operator: Operator) -> dict[str, float]:
    macs, executed = cost.macs(operator), work(operator)
    before, after = channels(operator)
    moved = cost.input_bytes(operator) + cost.weight_bytes(operator) + cost.output_bytes(operator)
    return {
        "family": float(FAMILIES.index(family(operator))),
        "log_macs": _log1(macs),
        "log_input_bytes": _log1(cost.input_bytes(operator)),
        "log_weight_bytes": _log1(executed.weight_bytes),
        "log_output_bytes": _log1(cost.output_bytes(operator)),
        "log_intensity": _log1(macs) - _log1(moved),
        "log_executed_macs": _log1(executed.macs),
        "log_patch_bytes": _log1(patch_bytes(operator)),
        "in_padding": padding(before),
        "out_padding": padding(after),
    }


def _hyperparameters(operator: Operator) -> dict[str, float]:
    window = kernel(operator)
    dilations = cost.integers_attribute(operator, "dilations")
    permutation = cost.integers_attribute(operator, "perm")
    activation = str(operator.attributes.get("activation", ""))
    return {
        "kernel_height": float(window[0]) if window else np.nan,
        "kernel_width": float(window[-1]) if window else np.nan,
        "stride": float(strides(operator)[0]),
        "dilation": float(dilations[0]) if dilations else np.nan,
        "log_group": _log1(cost.integer_attribute(operator, "group", 1)),
        "fused_activation": float(
            _ACTIVATIONS.index(activation) if activation in _ACTIVATIONS else len(_ACTIVATIONS)
        ),
        "axis": float(cost.integer_attribute(operator, "axis", -9)),
        "permutation_moves_last": float(bool(permutation) and permutation[-1] != len(permutation) - 1),
        "element_bytes": float(cost.element_bytes(operator)),
        "is_integer": float("int" in operator.dtype or operator.dtype == "bool"),
    }


def _shapes(operator: Operator) -> dict[str, float]:
    data = operator.inputs[0] if operator.inputs else ()
    out = operator.outputs[0] if operator.outputs else ()
    before, after = channels(operator)
    counts = {element_count(shape) for shape in operator.inputs}
    return {
        "log_in_channels": _log1(before),
        "log_out_channels": _log1(after),
        "log_out_height": _log1(cost.dimension(out, 2)),
        "log_out_width": _log1(cost.dimension(out, 3)),
        "input_count": float(len(operator.inputs)),
        "output_count": float(len(operator.outputs)),
        "rank": float(len(data)),
        "has_bias": float(operator.op_type in cost.WEIGHTED and len(operator.inputs) > 2),
        "broadcasts": float(len(counts) > 1),
        "log_inner": _log1(cost.dimension(data, -1)),
    }
