"""Cut one kernel into parts that two processors compute side by side.

By output channels each part holds its share of the weights and reads the whole input (or, where channels
do not mix, its share of it); by height each part computes its rows and needs a few more of the input
(CoDL, MobiSys '22).
"""

from dataclasses import replace
from enum import StrEnum
from functools import lru_cache

from predictors.cost import CONVOLUTIONS, FULLY_CONNECTED
from predictors.graph import Operator, Shape

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of a kernel for which latencies are predicted (CoDL's ratio step)."""

_REMEMBERED = 65_536
"""Operators come back request after request; cutting one anew costs more than looking it up."""

_CONVOLUTIONS = CONVOLUTIONS | {"Convolution"}
_MATRICES = FULLY_CONNECTED | {"MatMul"}
_CHANNELWISE = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Relu", "Clip", "Sigmoid", "Add", "Mul"}
    | {"BatchNormalization", "Pooling", "LeakyRelu", "Tanh", "Sum", "MaxPool2D", "AveragePool2D", "Relu6"}
)
_ROWWISE = _CHANNELWISE - {"GlobalAveragePool", "GlobalMaxPool"}


class Dimension(StrEnum):
    """Along what a kernel is cut."""

    CHANNELS = "out_channels"
    HEIGHT = "height"


@lru_cache(maxsize=_REMEMBERED)
def is_splittable(operator: Operator, dimension: Dimension) -> bool:
    """Tell whether a kernel can be cut along a dimension into at least ten parts."""
    if len(operator.outputs) != 1 or not operator.inputs:
        return False
    output = operator.outputs[0]
    if dimension is Dimension.HEIGHT:
        conv = operator.op_type in _CONVOLUTIONS and len(operator.inputs) > 1
        return (conv or operator.op_type in _ROWWISE) and len(output) == 4 and output[2] >= 10
    if operator.op_type in _MATRICES:
        return len(output) >= 2 and output[-1] >= 10
    conv = operator.op_type in _CONVOLUTIONS and len(operator.inputs) > 1
    return (conv or operator.op_type in _CHANNELWISE) and len(output) == 4 and output[1] >= 10


@lru_cache(maxsize=_REMEMBERED)
def mixes_channels(operator: Operator) -> bool:
    """Tell whether each output channel reads all input channels."""
    if operator.op_type in _MATRICES:
        return True
    if operator.op_type not in _CONVOLUTIONS:
        return False
    group = operator.attributes.get("group", 1)
    return not (isinstance(group, int) and group > 1 and group == operator.outputs[0][1])


@lru_cache(maxsize=_REMEMBERED)
def halo(operator: Operator) -> float:
    """Return the rows that a part reads beyond its own share, as a share of the input's height."""
    kernel = operator.attributes.get("kernel_shape")
    strides = operator.attributes.get("strides")
    if not isinstance(kernel, list) or not kernel or not operator.inputs or len(operator.inputs[0]) != 4:
        if operator.op_type in _CONVOLUTIONS and len(operator.inputs) > 1 and len(operator.inputs[1]) == 4:
            return max(operator.inputs[1][2] - 1, 0) / max(operator.inputs[0][2], 1)
        return 0.0
    stride = strides[0] if isinstance(strides, list) and strides else 1
    return max(float(kernel[0]) - float(stride), 0.0) / max(operator.inputs[0][2], 1)


@lru_cache(maxsize=_REMEMBERED)
def sliced(operator: Operator, dimension: Dimension, fraction: float) -> Operator:
    """Return the operator that computes `fraction` of the output along `dimension`."""
    output = operator.outputs[0]
    if dimension is Dimension.HEIGHT:
        rows = _share(output[2], fraction)
        more = halo(operator)
        inputs = tuple(
            _with(shape, 2, min(_share(shape[2], fraction + more), shape[2]))
            if len(shape) == 4 and _is_data(operator, place)
            else shape
            for place, shape in enumerate(operator.inputs)
        )
        return replace(operator, inputs=inputs, outputs=(_with(output, 2, rows),))
    if operator.op_type in _MATRICES:
        columns = _share(output[-1], fraction)
        inputs = (
            operator.inputs[0],
            *(_scaled(shape, output[-1], columns) for shape in operator.inputs[1:]),
        )
        return replace(operator, inputs=inputs, outputs=(_with(output, len(output) - 1, columns),))
    channels = _share(output[1], fraction)
    attributes = dict(operator.attributes)
    if mixes_channels(operator):
        first: Shape = operator.inputs[0]
    else:
        first = _with(operator.inputs[0], 1, _share(operator.inputs[0][1], fraction))
        if operator.op_type in _CONVOLUTIONS:
            attributes["group"] = channels
    inputs = (first, *(_scaled(shape, output[1], channels) for shape in operator.inputs[1:]))
    return replace(operator, inputs=inputs, outputs=(_with(output, 1, channels),), attributes=attributes)


def _is_data(operator: Operator, place: int) -> bool:
    """Weights of a convolution come second; everything else is data."""
    return operator.op_type not in _CONVOLUTIONS or place != 1


def _share(size: int, fraction: float) -> int:
    return max(1, min(size, round(size * fraction)))


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _scaled(shape: Shape, size: int, part: int) -> Shape:
    """Cut the first axis of that size."""
    for axis, length in enumerate(shape):
        if length == size:
            return _with(shape, axis, part)
    return shape
