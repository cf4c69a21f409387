"""Which part of its inputs a node needs in order to compute a part of its output.

A part is a range along one axis of a tensor: its rows (`height`) or its channels (`out_channels`; the last
axis of a matrix). Rows of a convolution or pool need halo rows of the input (CoDL, MobiSys '22, section
4.1) and keep padding at the true border only; channels of a convolution need all of its input and a share
of its weights (µLayer, EuroSys '19, section 4.1).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx

from collectors.errors import PlanError
from predictors.graph import Shape

HEIGHT, CHANNELS = "height", "out_channels"
POOLS = frozenset({"MaxPool", "AveragePool"})
ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "Tanh"}
    | {"Elu", "HardSigmoid", "HardSwish", "Identity", "Dropout", "Sqrt", "Exp", "Erf", "Softplus"}
)


class Part(NamedTuple):
    """Elements `start` to `stop` (exclusive) along one axis of a tensor."""

    axis: int
    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of elements along the axis."""
        return self.stop - self.start

    def of(self, shape: Shape) -> Shape:
        """Return the shape of the part of a tensor."""
        return (*shape[: self.axis], self.length, *shape[self.axis + 1 :])


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a node needs for a part of its output.

    `inputs` holds one part per input, none for all of it; `attributes` those that change.
    """

    inputs: tuple[Part | None, ...]
    attributes: Mapping[str, int | list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitNode:
    """A node with the shapes of its inputs and output, cut along `dimension`."""

    proto: onnx.NodeProto
    inputs: tuple[Shape, ...]
    output: Shape
    dimension: str

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        return next((item.i for item in self.proto.attribute if item.name == name), default)

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """Return an attribute of several integers."""
        return next((list(item.ints) for item in self.proto.attribute if item.name == name), list(default))

    def text(self, name: str, default: str) -> str:
        """Return an attribute of text."""
        return next((item.s.decode() for item in self.proto.attribute if item.name == name), default)

    def refuse(self, why: str) -> PlanError:
        """Return the error that this node cannot be split."""
        return PlanError(f"operator {self.proto.name!r} ({self.proto.op_type}) cannot be split: {why}")


def axis_of(dimension: str, shape: Shape) -> int:
    """Return the axis of a tensor along which a dimension runs."""
    if dimension == HEIGHT:
        return 2
    return 1 if len(shape) == 4 else len(shape) - 1


def share(dimension: str, shape: Shape, low: float, high: float) -> Part:
    """Return a part of a tensor by shares; parts that meet at a share meet at the same element.

    Raises:
        PlanError: the tensor does not have that dimension.

    """
    axis = axis_of(dimension, shape)
    if not 0 <= axis < len(shape):
        raise PlanError(f"a tensor of shape {shape} cannot be split by {dimension}")
    return Part(axis, round(low * shape[axis]), round(high * shape[axis]))


def required(node: SplitNode, part: Part) -> Requirement:
    """Return what a node needs to compute a part of its output.

    Raises:
        PlanError: this operator cannot be split so.

    """
    op_type = node.proto.op_type
    if node.dimension == HEIGHT and len(node.output) != 4:
        raise node.refuse("its output has no rows")
    rule = _RULES.get(op_type, _elementwise if op_type in ELEMENTWISE else None)
    if rule is None:
        raise node.refuse("no rule says which part of its inputs it needs")
    return rule(node, part)


def widened(node: SplitNode, part: Part) -> Part:
    """Return the smallest part around `part` that a node can compute: channels come in whole groups."""
    group = node.integer("group", 1) if node.proto.op_type == "Conv" else 1
    if node.dimension == HEIGHT or group == 1:
        return part
    size = node.output[1] // group
    return Part(part.axis, part.start // size * size, -(-part.stop // size) * size)


def _elementwise(node: SplitNode, part: Part) -> Requirement:
    return Requirement(tuple(_aligned(node, shape, part) for shape in node.inputs))


def _aligned(node: SplitNode, shape: Shape, part: Part) -> Part | None:
    """Return the part of an input that broadcasting lines up with a part of the output."""
    axis = axis_of(node.dimension, node.output)
    place = axis - (len(node.output) - len(shape))
    if place < 0 or shape[place] == 1:
        return None
    if shape[place] != node.output[axis]:
        raise node.refuse("an input does not line up with its output")
    return Part(place, part.start, part.stop)


def _normalisation(node: SplitNode, part: Part) -> Requirement:
    weight = _weight(part) if node.dimension == CHANNELS else None
    return Requirement((part, *(weight,) * (len(node.inputs) - 1)))


def _within_channels(node: SplitNode, part: Part) -> Requirement:
    """Global pools reduce rows, so only channels can be cut."""
    if node.dimension == HEIGHT:
        raise node.refuse("it needs all rows at once")
    return Requirement((part,))


def _across_channels(node: SplitNode, part: Part) -> Requirement:
    """Local response normalisation looks at neighbouring channels, so only rows can be cut."""
    if node.dimension == CHANNELS:
        raise node.refuse("it needs neighbouring channels")
    return Requirement((part,))


def _concat(node: SplitNode, part: Part) -> Requirement:
    axis = axis_of(node.dimension, node.output)
    if node.integer("axis", 0) % len(node.output) == axis:
        raise node.refuse("it joins along the dimension of the split")
    return Requirement((part,) * len(node.inputs))


def _convolution(node: SplitNode, part: Part) -> Requirement:
    others = len(node.inputs) - 1
    if node.dimension == HEIGHT:
        rows, pads = _rows(node, part, node.inputs[1][2])
        return Requirement((rows, *(None,) * others), {"pads": pads})
    group = node.integer("group", 1)
    weights = (_weight(part),) * others
    if group == 1:
        return Requirement((None, *weights))
    outputs, inputs = node.output[1] // group, node.inputs[0][1] // group
    first, last = part.start // outputs, part.stop // outputs
    return Requirement((Part(1, first * inputs, last * inputs), *weights), {"group": last - first})


def _pool(node: SplitNode, part: Part) -> Requirement:
    if len(node.proto.output) > 1:
        raise node.refuse("it also gives indexes")
    if node.dimension == CHANNELS:
        return Requirement((part,))
    included = node.proto.op_type == "AveragePool" and node.integer("count_include_pad", 0)
    if included and node.integer("ceil_mode", 0):
        raise node.refuse("it averages over padding that lies outside of the model")
    rows, pads = _rows(node, part, node.integers("kernel_shape", (1, 1))[0])
    return Requirement((rows,), {"pads": pads})


def _rows(node: SplitNode, part: Part, kernel_rows: int) -> tuple[Part, list[int]]:
    """Return the input rows for output rows, and the padding that remains."""
    stride = node.integers("strides", (1, 1))[0]
    dilation = node.integers("dilations", (1, 1))[0]
    top, left, _, right = _pads(node)
    height = node.inputs[0][2]
    start = part.start * stride - top
    stop = (part.stop - 1) * stride - top + (kernel_rows - 1) * dilation + 1
    pads = [max(0, -start), left, max(0, stop - height), right]
    return Part(2, max(0, start), min(height, stop)), pads


def _pads(node: SplitNode) -> list[int]:
    """Return explicit padding: top, left, bottom, right."""
    automatic = node.text("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return node.integers("pads", (0, 0, 0, 0))
    if automatic == "VALID":
        return [0, 0, 0, 0]
    kernel = node.integers("kernel_shape", node.inputs[1][2:] if len(node.inputs) > 1 else (1, 1))
    strides, dilations = node.integers("strides", (1, 1)), node.integers("dilations", (1, 1))
    before, after = [], []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        missing = (node.output[2 + axis] - 1) * strides[axis] + reach - node.inputs[0][2 + axis]
        small, large = max(0, missing) // 2, max(0, missing) - max(0, missing) // 2
        before.append(small if automatic == "SAME_UPPER" else large)
        after.append(large if automatic == "SAME_UPPER" else small)
    return [*before, *after]


def _weight(part: Part) -> Part:
    """Return the part of a weight or parameter whose first axis is the output's channels."""
    return Part(0, part.start, part.stop)


def _gemm(node: SplitNode, part: Part) -> Requirement:
    if len(node.inputs[1]) != 2:
        raise node.refuse("its second input is no matrix")
    rows_are_outputs = node.proto.op_type == "Gemm" and node.integer("transB", 0)
    weight = Part(0 if rows_are_outputs else len(node.inputs[1]) - 1, part.start, part.stop)
    return Requirement((None, weight, *(_aligned(node, shape, part) for shape in node.inputs[2:])))


_RULES: Mapping[str, Callable[[SplitNode, Part], Requirement]] = {
    "BatchNormalization": _normalisation,
    "GlobalAveragePool": _within_channels,
    "GlobalMaxPool": _within_channels,
    "LRN": _across_channels,
    "Concat": _concat,
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": _gemm,
    **dict.fromkeys(POOLS, _pool),
}
