"""Networks of sliced operators: what a processor runs when a plan splits an operator between two.

A predictor that has only seen whole operators has to extrapolate to half ones. So the agent cuts kernels
that it has seen: convolutions by output rows or by output channels, fully connected layers by outputs.
"""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from predictors.graph import Operator, element_count

RATIOS = tuple(step / 10 for step in range(1, 10))
SLICES_AT_ONCE = 8
LARGEST_WEIGHT = 4 * 1024 * 1024
"""Elements; the weights of a sliced operator are made anew each time."""
LEAST_MACS = 10_000
"""Nobody gains by splitting less."""
MOST_MACS = 500_000_000
"""Multiplications of a whole network, so that one run stays short beside those of real models."""
OPSET, IR_VERSION = 17, 10
CONVOLUTIONS = frozenset({"Conv", "FusedConv"})
GEMMS = frozenset({"Gemm", "FusedGemm"})


@dataclass(frozen=True, slots=True)
class Slice:
    """One operator with constant weights, followed by a Relu or not."""

    op_type: str
    input_shape: tuple[int, ...]
    weight_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    attributes: dict[str, int | list[int]]
    relu: bool

    @property
    def macs(self) -> int:
        """Multiplications and additions of one run."""
        return element_count(self.output_shape) * element_count(self.weight_shapes[0][1:])


def slice_network(kernels: Iterable[Operator], rng: random.Random) -> onnx.ModelProto | None:
    """Return a network of independent slices of some of the kernels; none where nothing can be sliced.

    Kernels are drawn without replacement, by the square root of their work: heavy ones are those that plans
    split, but light ones come up too.
    """
    pool = [kernel for kernel in kernels if _can_slice(kernel)]
    chosen: list[Slice] = []
    macs = 0
    for kernel in sorted(pool, key=lambda kernel: rng.expovariate(math.sqrt(_macs(kernel)))):
        piece = cut(kernel, rng)
        if len(chosen) < SLICES_AT_ONCE and macs + piece.macs <= MOST_MACS:
            chosen.append(piece)
            macs += piece.macs
    return _network(chosen, np.random.default_rng(rng.getrandbits(32))) if chosen else None


def cut(kernel: Operator, rng: random.Random) -> Slice:
    """Cut a kernel at a random ratio along a dimension that it can be split by."""
    ratio = rng.choice(RATIOS)
    if kernel.op_type in GEMMS:
        return cut_gemm(kernel, ratio)
    by_channels = _integer(kernel, "group", 1) == 1 and rng.random() < 0.5
    return cut_channels(kernel, ratio) if by_channels else cut_height(kernel, ratio)


def cut_gemm(kernel: Operator, ratio: float) -> Slice:
    """Keep a share of the outputs of a fully connected layer whose weight is stored output by input."""
    (batch, width), (outputs, _) = kernel.inputs[0], kernel.inputs[1]
    kept = max(1, round(ratio * outputs))
    shapes = ((kept, width), (kept,))
    return Slice("Gemm", (batch, width), shapes, (batch, kept), {"transB": 1}, _has_relu(kernel))


def cut_channels(kernel: Operator, ratio: float) -> Slice:
    """Keep a share of a convolution's output channels."""
    batch, channels, rows, columns = kernel.outputs[0]
    kept = max(1, round(ratio * channels))
    weight = (kept, *kernel.inputs[1][1:])
    attributes = _convolution_attributes(kernel)
    output = (batch, kept, rows, columns)
    return Slice("Conv", kernel.inputs[0], (weight, (kept,)), output, attributes, _has_relu(kernel))


def cut_height(kernel: Operator, ratio: float) -> Slice:
    """Keep a share of a convolution's output rows from the top, with the halo rows of input they need."""
    batch, channels, rows, columns = kernel.outputs[0]
    kept = max(1, min(rows - 1, round(ratio * rows)))
    attributes = _convolution_attributes(kernel)
    top, left, _, right = _integers(kernel, "pads", [0, 0, 0, 0])
    stride = _integers(kernel, "strides", [1, 1])[0]
    reach = (kernel.inputs[1][2] - 1) * _integers(kernel, "dilations", [1, 1])[0] + 1
    input_batch, input_channels, input_rows, input_columns = kernel.inputs[0]
    needed = (kept - 1) * stride + reach - top
    bottom = max(0, needed - input_rows)
    attributes["pads"] = [top, left, bottom, right]
    shape = (input_batch, input_channels, min(needed, input_rows), input_columns)
    output = (batch, channels, kept, columns)
    weights = (kernel.inputs[1], (channels,))
    return Slice("Conv", shape, weights, output, attributes, _has_relu(kernel))


def _can_slice(kernel: Operator) -> bool:
    if (
        kernel.dtype != "float32"
        or len(kernel.inputs) < 2
        or not kernel.outputs
        or element_count(kernel.inputs[1]) > LARGEST_WEIGHT
    ):
        return False
    if _macs(kernel) < LEAST_MACS:
        return False
    if kernel.op_type in GEMMS:
        plain = _integer(kernel, "transA", 0) == 0 and _integer(kernel, "transB", 0) == 1
        return plain and len(kernel.inputs[0]) == len(kernel.inputs[1]) == 2
    return (
        kernel.op_type in CONVOLUTIONS
        and len(kernel.inputs[0]) == len(kernel.inputs[1]) == len(kernel.outputs[0]) == 4
        and kernel.outputs[0][2] > 1
        and kernel.attributes.get("auto_pad", "NOTSET") == "NOTSET"
    )


def _macs(kernel: Operator) -> int:
    return element_count(kernel.outputs[0]) * element_count(kernel.inputs[1][1:])


def _convolution_attributes(kernel: Operator) -> dict[str, int | list[int]]:
    return {
        "group": _integer(kernel, "group", 1),
        "kernel_shape": list(kernel.inputs[1][2:]),
        "strides": _integers(kernel, "strides", [1, 1]),
        "dilations": _integers(kernel, "dilations", [1, 1]),
        "pads": _integers(kernel, "pads", [0, 0, 0, 0]),
    }


def _has_relu(kernel: Operator) -> bool:
    return kernel.attributes.get("activation") == "Relu"


def _integer(kernel: Operator, name: str, default: int) -> int:
    value = kernel.attributes.get(name, default)
    return value if isinstance(value, int) else default


def _integers(kernel: Operator, name: str, default: list[int]) -> list[int]:
    value = kernel.attributes.get(name)
    return [int(element) for element in value] if isinstance(value, list) else default


def _network(slices: list[Slice], rng: np.random.Generator) -> onnx.ModelProto:
    nodes = [node for index, piece in enumerate(slices) for node in _nodes(index, piece)]
    graph = helper.make_graph(
        nodes,
        "slices",
        [_value(f"x{index}", piece.input_shape) for index, piece in enumerate(slices)],
        [_value(f"y{index}", piece.output_shape) for index, piece in enumerate(slices)],
        [
            numpy_helper.from_array(rng.standard_normal(shape, dtype=np.float32), f"w{index}_{place}")
            for index, piece in enumerate(slices)
            for place, shape in enumerate(piece.weight_shapes)
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _nodes(index: int, piece: Slice) -> Iterator[onnx.NodeProto]:
    inputs = [f"x{index}", *(f"w{index}_{place}" for place in range(len(piece.weight_shapes)))]
    result = f"z{index}" if piece.relu else f"y{index}"
    name = f"{piece.op_type}_{index}"
    node = helper.make_node(piece.op_type, inputs, [result], name=name)
    node.attribute.extend(helper.make_attribute(*attribute) for attribute in piece.attributes.items())
    yield node
    if piece.relu:
        yield helper.make_node("Relu", [result], [f"y{index}"], name=f"Relu_{index}")


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
