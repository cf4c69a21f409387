"""Families of operators that share a cost law: what they compute and how kernels usually implement it."""

from types import MappingProxyType

from predictors import cost
from predictors.geometry import channels, kernel, strides
from predictors.graph import Operator

FAMILIES = (
    *("other", "spatial_convolution", "winograd_convolution", "pointwise_convolution", "unknown_convolution"),
    *("depthwise_convolution", "grouped_convolution", "transposed_convolution", "fully_connected"),
    *(
        "matrix_product",
        "attention",
        "recurrent",
        "pool",
        "reduction",
        "normalisation",
        "batch_normalisation",
    ),
    *("activation", "binary", "softmax", "layout", "movement", "shape_only", "image_convolution"),
)
"""The index in this tuple is the categorical feature `family`."""

DENSE = frozenset(
    {
        *("spatial_convolution", "winograd_convolution", "pointwise_convolution", "unknown_convolution"),
        *("grouped_convolution", "transposed_convolution", "fully_connected", "matrix_product"),
        *("image_convolution", "attention", "recurrent"),
    }
)
"""Families bound by arithmetic: matrix products in one form or another."""

UNROLLED = frozenset({"spatial_convolution", "image_convolution"})
"""Families that unroll the patches under their window into a matrix before they multiply."""

WINDOWED = frozenset({"depthwise_convolution", "pool"})
"""Families that slide a window over each channel on its own."""

MOST_IMAGE_CHANNELS = 4
"""A convolution that reads an image has too few channels to fill its vectors: it tells little of others."""

LEAST_WINOGRAD_CHANNELS = 8
"""With fewer channels the transforms cost more than the multiplications they save."""

_NAMED = {
    "pool": cost.POOLS,
    "transposed_convolution": cost.TRANSPOSED_CONVOLUTIONS,
    "fully_connected": cost.FULLY_CONNECTED,
    "matrix_product": cost.MATRIX_PRODUCTS,
    "attention": cost.ATTENTION,
    "recurrent": frozenset(cost.RECURRENT_GATES),
    "reduction": frozenset(
        {"GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax", "ArgMax"}
    ),
    "normalisation": frozenset(
        {"LRN", "LayerNormalization", "InstanceNormalization", "GroupNormalization"}
        | {"SkipLayerNormalization", "SimplifiedLayerNormalization"}
    ),
    "batch_normalisation": frozenset({"BatchNormalization"}),
    "activation": frozenset(
        {"Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "PRelu", "LeakyRelu"}
        | {"Gelu", "FastGelu", "Elu", "Erf", "Exp", "Sqrt"}
    ),
    "binary": frozenset({"Add", "Mul", "Sub", "Div", "Sum", "Max", "Min", "Pow", "Eltwise"}),
    "softmax": frozenset({"Softmax", "LogSoftmax"}),
    "layout": frozenset({"ReorderInput", "ReorderOutput", "LayoutCopy"}),
    "shape_only": frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant"}),
    "movement": frozenset(
        {"Concat", "Split", "Slice", "Gather", "Pad", "Transpose", "Cast", "Tile", "Expand"}
        | {"DepthToSpace", "SpaceToDepth", "GatherElements", "ScatterND"}
    ),
}
_FAMILY_OF = MappingProxyType({kind: name for name, kinds in _NAMED.items() for kind in kinds})


def family(operator: Operator) -> str:
    """Return the family of an operator, `other` for types nobody has named."""
    if operator.op_type in cost.CONVOLUTIONS:
        return _convolution(operator)
    return _FAMILY_OF.get(operator.op_type, "other")


def _convolution(operator: Operator) -> str:
    before, after = channels(operator)
    group = cost.integer_attribute(operator, "group", 1)
    if group > 1:
        return "depthwise_convolution" if group >= before else "grouped_convolution"
    window = kernel(operator)
    if not window:
        return "unknown_convolution"
    if before <= MOST_IMAGE_CHANNELS:
        return "image_convolution"
    if max(window) <= 1:
        return "pointwise_convolution"
    dilations = cost.integers_attribute(operator, "dilations") or (1,)
    square = window[0] == window[-1] and max(strides(operator)) == 1 and max(dilations) == 1
    if square and min(before, after) >= LEAST_WINOGRAD_CHANNELS:
        return "winograd_convolution"
    return "spatial_convolution"
