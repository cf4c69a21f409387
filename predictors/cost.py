"""What an operator asks of a processor: multiply-accumulates and bytes, from shapes alone.

Every function takes any operator, known or not, and returns a finite number that is 0 or more: unknown
shapes count as nothing, scalars `()` as one element, an empty tensor as zero.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod

from predictors.graph import DTYPE_BYTES, Operator, Shape, element_count

CONVOLUTIONS = frozenset(
    {"Conv", "FusedConv", "ConvInteger", "QLinearConv", "Conv2D", "DepthwiseConv2D", "ConvolutionDepthwise"}
)
TRANSPOSED_CONVOLUTIONS = frozenset(
    {"ConvTranspose", "Deconvolution", "TransposeConv", "QLinearConvTranspose"}
)
MATRIX_PRODUCTS = frozenset(
    {
        "MatMul",
        "FusedMatMul",
        "MatMulInteger",
        "QLinearMatMul",
        "BatchMatMul",
        "MatMulNBits",
        "TransposeMatMul",
    }
)
FULLY_CONNECTED = frozenset({"Gemm", "FusedGemm", "FullyConnected", "InnerProduct", "QGemm"})
ATTENTION = frozenset({"Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention"})
RECURRENT_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
POOLS = frozenset({"MaxPool", "AveragePool", "LpPool", "AveragePool2D", "MaxPool2D", "QLinearAveragePool"})
WEIGHTED = CONVOLUTIONS | TRANSPOSED_CONVOLUTIONS | FULLY_CONNECTED | frozenset(RECURRENT_GATES)
OPERATIONS_PER_ELEMENT = {
    "Softmax": 5.0,
    "LogSoftmax": 5.0,
    "LayerNormalization": 6.0,
    "SkipLayerNormalization": 7.0,
    "SimplifiedLayerNormalization": 4.0,
    "InstanceNormalization": 6.0,
    "GroupNormalization": 6.0,
    "BatchNormalization": 1.0,
    "Gelu": 8.0,
    "FastGelu": 8.0,
    "Erf": 8.0,
    "Exp": 4.0,
    "Tanh": 6.0,
    "Sigmoid": 5.0,
    "HardSwish": 3.0,
}
MOVES = frozenset(
    {
        *(
            "Reshape",
            "Transpose",
            "Concat",
            "Split",
            "Slice",
            "Gather",
            "Pad",
            "Squeeze",
            "Unsqueeze",
            "Flatten",
        ),
        *(
            "Identity",
            "Cast",
            "Expand",
            "Tile",
            "Shape",
            "ReorderInput",
            "ReorderOutput",
            "LayoutCopy",
            "Constant",
        ),
        *(
            "DepthToSpace",
            "SpaceToDepth",
            "GatherElements",
            "ScatterND",
            "ConstantOfShape",
            "Unsqueeze",
            "Constant",
        ),
    }
)


def dimension(shape: Shape, index: int, default: int = 1) -> int:
    """Return one dimension of a shape (negative indexes count from the end), `default` where it has none."""
    return shape[index] if -len(shape) <= index < len(shape) else default


def first_shape(shapes: tuple[Shape, ...]) -> Shape | None:
    """Return the first shape, `None` where none is known."""
    return shapes[0] if shapes else None


@lru_cache(maxsize=65_536)
def elements(shape: Shape) -> int:
    """Return the elements that a kernel touches: as `element_count`, but two or more zeros are placeholders.

    Some frameworks fill short shapes up to four dimensions with zeros, `(1, 0, 1001, 0)` for `(1, 1001)`.
    """
    if shape.count(0) > 1:
        return prod(size for size in shape if size)
    return element_count(shape)


def integer_attribute(operator: Operator, name: str, default: int) -> int:
    """Return an attribute as an integer, `default` where it is absent or of another kind."""
    value = operator.attributes.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def integers_attribute(operator: Operator, name: str) -> tuple[int, ...]:
    """Return a list attribute as integers, empty where it is absent or of another kind."""
    value = operator.attributes.get(name)
    return tuple(int(item) for item in value if not isinstance(item, str)) if isinstance(value, list) else ()


def kernel_shape(operator: Operator) -> tuple[int, ...]:
    """Return the spatial kernel: the attribute, else the weight's trailing dimensions, else empty."""
    declared = integers_attribute(operator, "kernel_shape")
    if declared:
        return declared
    weighted = operator.op_type in CONVOLUTIONS or operator.op_type in TRANSPOSED_CONVOLUTIONS
    return operator.inputs[1][2:] if weighted and len(operator.inputs) > 1 else ()


@lru_cache(maxsize=65_536)
def macs(operator: Operator) -> float:
    """Return the multiply-accumulates of one execution; an element-wise operation counts one an element."""
    return float(max(_formula(operator)(operator), 0.0))


def _formula(operator: Operator) -> Callable[[Operator], float]:
    kind = operator.op_type
    for kinds, formula in (
        (CONVOLUTIONS, _convolution),
        (TRANSPOSED_CONVOLUTIONS, _transposed_convolution),
        (FULLY_CONNECTED, _fully_connected),
        (MATRIX_PRODUCTS, _matrix_product),
        (ATTENTION, _attention),
        (frozenset(RECURRENT_GATES), _recurrent),
        (POOLS, _pool),
        (MOVES, _nothing),
    ):
        if kind in kinds:
            return formula
    return _elementwise


def _nothing(_operator: Operator) -> float:
    return 0.0


def _outputs(operator: Operator) -> float:
    return float(sum(elements(shape) for shape in operator.outputs))


def _inputs_per_output(operator: Operator) -> float:
    """Input channels of one group times kernel area: the products behind one convolution output."""
    if len(operator.inputs) > 1 and len(operator.inputs[1]) > 1:
        return float(prod(operator.inputs[1][1:]))
    channels = dimension(first_shape(operator.inputs) or (), 1)
    return channels / max(integer_attribute(operator, "group", 1), 1) * prod(kernel_shape(operator))


def _convolution(operator: Operator) -> float:
    shape = first_shape(operator.outputs)
    return 0.0 if shape is None else elements(shape) * _inputs_per_output(operator)


def _transposed_convolution(operator: Operator) -> float:
    shape = first_shape(operator.inputs)
    if shape is None:
        return 0.0
    if len(operator.inputs) > 1 and len(operator.inputs[1]) > 1:
        return float(elements(shape) * prod(operator.inputs[1][1:]))
    channels = dimension(first_shape(operator.outputs) or (), 1)
    return elements(shape) * channels * float(prod(kernel_shape(operator)))


def _fully_connected(operator: Operator) -> float:
    shape = first_shape(operator.outputs)
    if shape is None or not operator.inputs:
        return 0.0
    data = operator.inputs[0]
    transposed = integer_attribute(operator, "transA", 0) == 1 and len(data) == 2
    inner = dimension(data, 0) if transposed else elements(data) / max(dimension(data, 0), 1)
    return elements(shape) * float(inner)


def _matrix_product(operator: Operator) -> float:
    shape = first_shape(operator.outputs)
    if shape is None or not operator.inputs:
        return 0.0
    data = operator.inputs[0]
    return float(elements(shape) * dimension(data, -2 if integer_attribute(operator, "transA", 0) else -1))


def _attention(operator: Operator) -> float:
    """Scores and weighted sum: 2 · batch · length · length · width; projections where a weight is given."""
    shape = first_shape(operator.inputs)
    if shape is None or len(shape) < 3:
        return _elementwise(operator)
    batch, length, width = dimension(shape, 0), dimension(shape, 1), dimension(shape, -1)
    other = operator.inputs[1] if len(operator.inputs) > 1 else ()
    keys = dimension(other, 1, length) if len(other) == 3 else length
    projection = 0.0
    if len(other) == 2:
        projection = float(batch * length * prod(other))
    return 2.0 * batch * length * keys * width + projection


def _recurrent(operator: Operator) -> float:
    shape = first_shape(operator.inputs)
    if shape is None:
        return 0.0
    steps = dimension(shape, 0) * dimension(shape, 1)
    weights = sum(elements(weight) for weight in operator.inputs[1:3])
    hidden = integer_attribute(operator, "hidden_size", 0)
    gates = RECURRENT_GATES[operator.op_type]
    return float(steps * (weights or gates * hidden * (hidden + dimension(shape, -1))))


def _pool(operator: Operator) -> float:
    return _outputs(operator) * float(prod(kernel_shape(operator)))


def _elementwise(operator: Operator) -> float:
    if operator.op_type.startswith(("Global", "Reduce", "Arg")):
        return float(sum(elements(shape) for shape in operator.inputs[:1]))
    size = integer_attribute(operator, "size", 1) if operator.op_type == "LRN" else 1
    return _outputs(operator) * OPERATIONS_PER_ELEMENT.get(operator.op_type, 1.0) * max(size, 1)


def element_bytes(operator: Operator) -> int:
    """Return the bytes of one element; data types of unknown width count 4."""
    return DTYPE_BYTES.get(operator.dtype, 4)


def weight_bytes(operator: Operator) -> float:
    """Return the bytes of the constant weights read: a weighted operator's inputs after the first."""
    if operator.op_type not in WEIGHTED:
        return 0.0
    count = sum(elements(shape) for shape in operator.inputs[1:])
    if operator.op_type in FULLY_CONNECTED and operator.inputs and operator.outputs:
        # Some frameworks list the bias alone once they have packed the weight matrix away.
        data, shape = operator.inputs[0], operator.outputs[0]
        inner = elements(data) / max(dimension(data, 0), 1)
        count = max(count, int(inner * elements(shape) / max(dimension(shape, 0), 1)))
    return float(max(count, 0) * element_bytes(operator))


def input_bytes(operator: Operator) -> float:
    """Return the bytes of activations read, weights not counted."""
    shapes = operator.inputs[:1] if operator.op_type in WEIGHTED else operator.inputs
    return float(max(sum(elements(shape) for shape in shapes), 0) * element_bytes(operator))


def output_bytes(operator: Operator) -> float:
    """Return the bytes written."""
    return max(_outputs(operator), 0.0) * element_bytes(operator)
