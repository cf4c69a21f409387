"""Operators as fixed-length vectors: the versioned input of every operator model.

A vector never raises and never holds an infinity: what is unknown is 0 (a size) or NaN (a hyper-parameter
that this kind of operator does not have). `FEATURES_VERSION` changes whenever the vector does, so that a
stored model never meets a vector it was not fitted on.
"""

from functools import lru_cache
from math import log, sqrt
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from predictors import cost
from predictors.graph import Operator, element_count

FEATURES_VERSION = 1

FAMILIES = (
    *("other", "convolution", "pointwise_convolution", "depthwise_convolution", "grouped_convolution"),
    *("transposed_convolution", "fully_connected", "matrix_product", "attention", "recurrent", "pool"),
    *("reduction", "normalisation", "activation", "binary", "softmax", "layout", "movement", "shape_only"),
)
"""Operator kinds that share a cost law; the index in this tuple is the categorical feature `family`."""

_FAMILY_OF = MappingProxyType(
    {
        **dict.fromkeys(cost.TRANSPOSED_CONVOLUTIONS, "transposed_convolution"),
        **dict.fromkeys(cost.FULLY_CONNECTED, "fully_connected"),
        **dict.fromkeys(cost.MATRIX_PRODUCTS, "matrix_product"),
        **dict.fromkeys(cost.ATTENTION, "attention"),
        **dict.fromkeys(cost.RECURRENT_GATES, "recurrent"),
        **dict.fromkeys(cost.POOLS, "pool"),
        **dict.fromkeys(
            ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ArgMax"), "reduction"
        ),
        **dict.fromkeys(
            ("LRN", "BatchNormalization", "LayerNormalization", "InstanceNormalization"), "normalisation"
        ),
        **dict.fromkeys(("SkipLayerNormalization", "GroupNormalization"), "normalisation"),
        **dict.fromkeys(
            ("Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid"), "activation"
        ),
        **dict.fromkeys(("PRelu", "LeakyRelu", "Gelu", "Elu", "Erf", "Exp", "Sqrt"), "activation"),
        **dict.fromkeys(("Add", "Mul", "Sub", "Div", "Sum", "Max", "Min", "Pow", "Eltwise"), "binary"),
        **dict.fromkeys(("Softmax", "LogSoftmax"), "softmax"),
        **dict.fromkeys(("ReorderInput", "ReorderOutput", "LayoutCopy"), "layout"),
        **dict.fromkeys(
            ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant"), "shape_only"
        ),
        **dict.fromkeys(
            ("Concat", "Split", "Slice", "Gather", "Pad", "Transpose", "Cast", "Tile"), "movement"
        ),
        **dict.fromkeys(
            ("Expand", "DepthToSpace", "SpaceToDepth", "GatherElements", "ScatterND"), "movement"
        ),
    }
)

NAMES = (
    *("family", "log_macs", "log_input_bytes", "log_weight_bytes", "log_output_bytes", "log_intensity"),
    *(
        "kernel_height",
        "kernel_width",
        "stride",
        "dilation",
        "log_group",
        "log_in_channels",
        "log_out_channels",
    ),
    *("log_out_height", "log_out_width", "in_channels_modulo_8", "out_channels_modulo_8", "element_bytes"),
    *("is_integer", "fused_activation", "input_count", "output_count", "rank", "axis", "has_bias"),
    *("broadcasts", "log_inner", "log_rows", "log_columns", "permutation_moves_last", "log_winograd_tiles"),
)
"""The vector's components, in order."""

CATEGORICAL = (NAMES.index("family"), NAMES.index("fused_activation"))

_ACTIVATIONS = ("", "Relu", "Relu6", "Clip", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh", "LeakyRelu")


def family(operator: Operator) -> str:
    """Return the kind of cost law that an operator follows, `other` for types nobody has named."""
    if operator.op_type in cost.CONVOLUTIONS:
        group = cost.integer_attribute(operator, "group", 1)
        if group > 1:
            channels = cost.dimension(operator.inputs[0] if operator.inputs else (), 1)
            return "depthwise_convolution" if group >= channels else "grouped_convolution"
        kernel = cost.kernel_shape(operator)
        return "pointwise_convolution" if kernel and max(kernel) == 1 else "convolution"
    return _FAMILY_OF.get(operator.op_type, "other")


@lru_cache(maxsize=65_536)
def operator_features(operator: Operator) -> NDArray[np.float64]:
    """Return an operator's vector, float64, shape (len(NAMES),), read-only."""
    values = {**_costs(operator), **_hyperparameters(operator), **_shapes(operator)}
    vector = np.array([values[name] for name in NAMES])
    vector.setflags(write=False)
    return vector


def feature_matrix(operators: tuple[Operator, ...] | list[Operator]) -> NDArray[np.float64]:
    """Return the vectors of many operators, shape (len(operators), len(NAMES))."""
    if not operators:
        return np.empty((0, len(NAMES)))
    return np.stack([operator_features(operator) for operator in operators])


def _log1(value: float) -> float:
    return log(1.0 + max(value, 0.0))


def _costs(operator: Operator) -> dict[str, float]:
    macs = cost.macs(operator)
    moved = cost.input_bytes(operator) + cost.weight_bytes(operator) + cost.output_bytes(operator)
    return {
        "family": float(FAMILIES.index(family(operator))),
        "log_macs": _log1(macs),
        "log_input_bytes": _log1(cost.input_bytes(operator)),
        "log_weight_bytes": _log1(cost.weight_bytes(operator)),
        "log_output_bytes": _log1(cost.output_bytes(operator)),
        "log_intensity": _log1(macs) - _log1(moved),
    }


def _hyperparameters(operator: Operator) -> dict[str, float]:
    kernel = cost.kernel_shape(operator)
    strides = cost.integers_attribute(operator, "strides")
    dilations = cost.integers_attribute(operator, "dilations")
    permutation = cost.integers_attribute(operator, "perm")
    activation = str(operator.attributes.get("activation", ""))
    return {
        "kernel_height": float(kernel[0]) if kernel else np.nan,
        "kernel_width": float(kernel[-1]) if kernel else np.nan,
        "stride": float(strides[0]) if strides else np.nan,
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
    in_channels, out_channels = cost.dimension(data, 1), cost.dimension(out, 1)
    counts = {element_count(shape) for shape in operator.inputs}
    tiles = cost.dimension(out, 2) * cost.dimension(out, 3) / 4.0
    return {
        "log_in_channels": _log1(in_channels),
        "log_out_channels": _log1(out_channels),
        "in_channels_modulo_8": float(in_channels % 8),
        "out_channels_modulo_8": float(out_channels % 8),
        "log_out_height": _log1(cost.dimension(out, 2)),
        "log_out_width": _log1(cost.dimension(out, 3)),
        "input_count": float(len(operator.inputs)),
        "output_count": float(len(operator.outputs)),
        "rank": float(len(data)),
        "has_bias": float(operator.op_type in cost.WEIGHTED and len(operator.inputs) > 2),
        "broadcasts": float(len(counts) > 1),
        "log_inner": _log1(cost.dimension(data, -1)),
        "log_rows": _log1(cost.dimension(out, -2)),
        "log_columns": _log1(cost.dimension(out, -1)),
        "log_winograd_tiles": log(max(sqrt(max(tiles, 0.0)), 1.0)),
    }
