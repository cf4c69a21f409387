"""Read a TensorFlow Lite file into a model graph.

TFLite keeps channels last; shapes are turned to channels first here (activations N,C,H,W and filters
O,I,H,W), so that operators of all formats are described alike. Operator types are its builtin names in
camel case (`CONV_2D` is `Conv2D`), fused activations are the attribute `activation`. Shapes are those
of the file: they cannot be bound anew. Nothing in the file is trusted, and no weights are touched.
"""

import hashlib
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

import tflite

from predictors.graph import AttributeValue, ModelGraph, Node, Operator, Shape, Tensor
from predictors.graph_errors import GraphError, GraphFault
from predictors.model_file import DEFAULT_LIMITS, Limits, check_bytes, is_tflite, ordered, unique_names
from predictors.onnx_shapes import MAX_DIMENSION

_MAX_RANK = 16
_MAX_OPERANDS = 4096
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2D", "TransposeConv"})
_DTYPES = {value: key.lower() for key, value in vars(tflite.TensorType).items() if isinstance(value, int)}
_ACTIVATIONS = {
    tflite.ActivationFunctionType.RELU: "Relu",
    tflite.ActivationFunctionType.RELU6: "Relu6",
    tflite.ActivationFunctionType.RELU_N1_TO_1: "ReluN1To1",
    tflite.ActivationFunctionType.TANH: "Tanh",
    tflite.ActivationFunctionType.SIGN_BIT: "SignBit",
}
_INTEGERS: Mapping[str, str] = {
    "Axis": "axis",
    "KeepDims": "keepdims",
    "DepthMultiplier": "depth_multiplier",
    "AlignCorners": "align_corners",
    "BlockSize": "block_size",
    "NumSplits": "num_splits",
    "AdjX": "transA",
    "AdjY": "transB",
}
"""Options that are taken over as they are, under their ONNX names."""


def read(
    data: bytes,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    name: str | None = None,
) -> ModelGraph:
    """Return the operator graph of a TFLite file's first subgraph; raise `GraphError`.

    `input_shapes` may only repeat the file's own shapes (channels first), by input name.
    """
    check_bytes(data, limits)
    if not is_tflite(data):
        raise GraphError(GraphFault.NOT_A_MODEL, "this is not a TensorFlow Lite file (no TFL3 identifier)")
    try:
        graph = _Reader(data, limits).graph(name)
    except GraphError:
        raise
    except Exception as error:  # what a hostile flat buffer makes its accessors do has no bounds
        raise GraphError(
            GraphFault.CORRUPT, f"the file is truncated or corrupt ({type(error).__name__} while reading it)"
        ) from error
    for item, shape in (input_shapes or {}).items():
        if item not in graph.inputs or graph.tensors[item].shape != shape:
            known = ", ".join(f"{key}{list(graph.tensors[key].shape)}" for key in graph.inputs)
            raise GraphError(
                GraphFault.BAD_SHAPE,
                f"TFLite shapes are fixed in the file: it has {known}, not '{item}' as {list(shape)}",
            )
    return graph


class _Reader:
    """One pass over one file."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._deadline = time.thread_time() + limits.seconds
        self._model: Any = tflite.Model.GetRootAsModel(data, 0)
        if not 1 <= self._model.SubgraphsLength() <= limits.nodes:
            raise GraphError(GraphFault.NOT_A_MODEL, "the file decodes, but holds no graph")
        self._graph: Any = self._model.Subgraphs(0)
        operators, tensors = self._graph.OperatorsLength(), self._graph.TensorsLength()
        # Every entry of a vector takes four bytes of the file at least.
        if max(operators, tensors) * 4 > len(data):
            raise GraphError(GraphFault.CORRUPT, "the file declares more entries than it can hold")
        if operators > limits.nodes or tensors > 8 * limits.nodes:
            raise GraphError(GraphFault.TOO_LARGE, f"the graph has more than {limits.nodes} operators")
        if not operators:
            raise GraphError(GraphFault.NOT_A_MODEL, "the file decodes, but holds no operators")

    def graph(self, name: str | None) -> ModelGraph:
        """Return the model graph."""
        inputs = self._indexes(self._graph.InputsAsNumpy())
        outputs = self._indexes(self._graph.OutputsAsNumpy())
        protos = [self._graph.Operators(place) for place in range(self._graph.OperatorsLength())]
        types = [self._type(proto) for proto in protos]
        reads = [self._indexes(proto.InputsAsNumpy()) for proto in protos]
        writes = [self._indexes(proto.OutputsAsNumpy()) for proto in protos]
        filters = {
            items[1]: kind
            for items, kind in zip(reads, types, strict=True)
            if kind in _CONVOLUTIONS and len(items) > 1
        }
        written = {item for items in writes for item in items}
        tensors = [
            self._tensor(place, filters.get(place), place not in written and place not in inputs)
            for place in range(self._graph.TensorsLength())
        ]
        names = [tensor.name for tensor in tensors]
        read_names = [tuple(names[item] for item in items) for items in reads]
        written_names = [tuple(names[item] for item in items) for items in writes]
        known = {tensor.name for tensor in tensors if tensor.constant} | {names[item] for item in inputs}
        order = ordered(read_names, written_names, known, types)
        labels = unique_names(["" for _ in protos], written_names)
        nodes = []
        for index in order:
            self._check_time()
            mine = [tensors[item] for item in reads[index]]
            results = [tensors[item] for item in writes[index]]
            operator = Operator(
                types[index],
                tuple(tensor.shape for tensor in mine),
                tuple(tensor.shape for tensor in results),
                (mine or results)[0].dtype if mine or results else "unknown",
                _attributes(protos[index], types[index], mine),
            )
            nodes.append(Node(labels[index], operator, read_names[index], written_names[index]))
        title = self._graph.Name()
        return ModelGraph(
            name=name or (title.decode("utf-8", "replace") if title else "") or "model",
            digest=f"sha256:{hashlib.sha256(self._data).hexdigest()}",
            nodes=tuple(nodes),
            inputs=tuple(names[item] for item in inputs),
            outputs=tuple(names[item] for item in outputs),
            tensors={tensor.name: tensor for tensor in tensors},
        )

    def _indexes(self, values: Iterable[int] | int) -> tuple[int, ...]:
        """Return tensor indexes without the placeholders of absent optional ones."""
        found = () if isinstance(values, int) else tuple(int(value) for value in values)
        if len(found) > _MAX_OPERANDS:
            raise GraphError(GraphFault.TOO_LARGE, f"an operator has more than {_MAX_OPERANDS} operands")
        count = self._graph.TensorsLength()
        if any(not -1 <= value < count for value in found):
            raise GraphError(GraphFault.CORRUPT, "an operator names a tensor that does not exist")
        return tuple(value for value in found if value >= 0)

    def _type(self, proto: tflite.Operator) -> str:
        self._check_time()
        place = proto.OpcodeIndex()
        if not 0 <= place < self._model.OperatorCodesLength():
            raise GraphError(GraphFault.CORRUPT, "an operator has a code that does not exist")
        code = self._model.OperatorCodes(place)
        # Codes above 127 moved to a wider field; the larger of both is the valid one.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == tflite.BuiltinOperator.CUSTOM:
            custom = code.CustomCode()
            return custom.decode("utf-8", "replace")[:64] if custom else "Custom"
        name = tflite.BUILTIN_OPCODE2NAME.get(builtin, f"BUILTIN_{builtin}")
        return "".join(part if part[0].isdigit() else part.capitalize() for part in name.split("_")).replace(
            "2d", "2D"
        )

    def _tensor(self, place: int, filter_of: str | None, constant: bool) -> Tensor:
        self._check_time()
        proto = self._graph.Tensors(place)
        rank = proto.ShapeLength()
        if rank > _MAX_RANK:
            raise GraphError(GraphFault.BAD_SHAPE, f"tensor {place} has {rank} dimensions")
        shape = tuple(int(proto.Shape(axis)) for axis in range(rank))
        if any(not 0 <= size <= MAX_DIMENSION for size in shape):
            raise GraphError(GraphFault.BAD_SHAPE, f"tensor {place} has an impossible shape {list(shape)}")
        label = proto.Name()
        # Names need not be unique in the format, indexes are.
        name = f"{label.decode('utf-8', 'replace')[:200]}:{place}" if label else f"tensor:{place}"
        return Tensor(name, _channels_first(shape, filter_of), _DTYPES.get(proto.Type(), "unknown"), constant)

    def _check_time(self) -> None:
        if time.thread_time() > self._deadline:
            raise GraphError(GraphFault.TOO_SLOW, "reading the graph takes too long")


def _channels_first(shape: Shape, filter_of: str | None) -> Shape:
    if len(shape) != 4:
        return shape
    first, height, width, last = shape
    # A depthwise filter is 1,H,W,C: each channel has its own.
    return (last, first, height, width) if filter_of == "DepthwiseConv2D" else (first, last, height, width)


def _attributes(proto: tflite.Operator, op_type: str, inputs: list[Tensor]) -> dict[str, AttributeValue]:
    """Return the options that describe a cost, under their ONNX names."""
    options = _options(proto)
    values: dict[str, AttributeValue] = {}
    if options is None:
        return values
    for method, attribute in _INTEGERS.items():
        if hasattr(options, method):
            values[attribute] = int(getattr(options, method)())
    if hasattr(options, "StrideH"):
        values["strides"] = [int(options.StrideH()), int(options.StrideW())]
    if hasattr(options, "DilationHFactor"):
        values["dilations"] = [int(options.DilationHFactor()), int(options.DilationWFactor())]
    if hasattr(options, "FilterHeight"):
        values["kernel_shape"] = [int(options.FilterHeight()), int(options.FilterWidth())]
    elif op_type in _CONVOLUTIONS and len(inputs) > 1 and len(inputs[1].shape) == 4:
        values["kernel_shape"] = list(inputs[1].shape[2:])
        values["group"] = inputs[1].shape[0] if op_type == "DepthwiseConv2D" else 1
    if hasattr(options, "Padding"):
        same = options.Padding() == tflite.Padding.SAME
        values["auto_pad"] = "SAME_UPPER" if same else "VALID"
    if hasattr(options, "FusedActivationFunction"):
        fused = _ACTIVATIONS.get(options.FusedActivationFunction())
        if fused is not None:
            values["activation"] = fused
    return values


def _options(proto: tflite.Operator) -> tflite.Conv2DOptions | None:
    """Return the typed options of an operator, None where it has none that the schema knows."""
    table = proto.BuiltinOptions()
    kinds = vars(tflite.BuiltinOptions).items()
    name = next((key for key, value in kinds if value == proto.BuiltinOptionsType() and value), None)
    if table is None or name is None or not hasattr(tflite, name):
        return None
    options = getattr(tflite, name)()
    try:
        options.Init(table.Bytes, table.Pos)
    except struct.error:
        return None
    return options
