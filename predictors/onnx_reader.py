"""Read an ONNX file into a model graph: only shapes matter, weights may be absent or external.

Nothing in the file is trusted. Shapes are inferred one node at a time by ONNX's own schemas, and only
small integer tensors (shape arithmetic) are ever evaluated, so no declared dimension makes the reader
allocate; sizes, node counts, nesting and time are bounded by `Limits`.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import google.protobuf.message
import onnx

from predictors.graph import AttributeValue, ModelGraph, Node, Operator, Shape, Tensor
from predictors.graph_errors import GraphError, GraphFault
from predictors.onnx_functions import inlined
from predictors.onnx_shapes import MAX_DIMENSION, ShapeInference, dtype_name
from predictors.topology import topological_order

_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "a ZIP archive (a PyTorch checkpoint?)",
    b"\x1f\x8b": "gzip-compressed data",
    b"%PDF": "a PDF",
    b"\x80\x02": "a Python pickle",
    b"{": "JSON text",
}
_MAX_LIST = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a model file, so that a hostile one costs at most about two seconds and one gigabyte."""

    size_bytes: int = 256 * 2**20
    nodes: int = 20_000
    depth: int = 8
    seconds: float = 1.8


_DEFAULT_LIMITS = Limits()


def read(
    data: bytes,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    name: str | None = None,
) -> ModelGraph:
    """Return the operator graph of an ONNX file.

    `input_shapes` binds dynamic axes by input name; an axis symbol bound by one input binds it in all.
    Nodes are returned in the file's order (sorted only if the file is not), control flow as one opaque
    operator that also depends on the tensors its subgraphs capture. Raises `GraphError`.
    """
    try:
        return _read(data, input_shapes or {}, limits, name)
    except GraphError:
        raise
    except Exception as error:  # what a hostile file does to ONNX's own code has no bounds
        raise GraphError(
            GraphFault.CORRUPT, f"the file is corrupt ({type(error).__name__} while reading it)"
        ) from error


def _read(data: bytes, input_shapes: Mapping[str, Shape], limits: Limits, name: str | None) -> ModelGraph:
    deadline = time.monotonic() + limits.seconds
    model = inlined(_parse(data, limits), limits.nodes)
    graph = model.graph
    _check_size(graph, limits)
    constants = {item.name: item for item in graph.initializer}
    sparse = {item.values.name: tuple(item.dims) for item in graph.sparse_initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    inference = ShapeInference(model, deadline)
    for item in graph.initializer:
        inference.add_constant(item)
    for tensor_name, dims in sparse.items():
        inference.add_shape(tensor_name, dims, onnx.TensorProto.FLOAT)
    _bind_inputs(inference, inputs, input_shapes)

    reads = [_reads(node) for node in graph.node]
    known = {*constants, *sparse, *(item.name for item in inputs)}
    order = _ordered(graph.node, reads, known)
    names = _unique_names(graph.node)
    nodes = []
    for index in order:
        proto = graph.node[index]
        inference.visit(proto)
        nodes.append(_node(names[index], proto, reads[index], inference))
    tensors = {
        tensor_name: Tensor(
            tensor_name,
            shape,
            dtype_name(kind),
            constant=tensor_name in constants or tensor_name in sparse,
            content=inference.content(tensor_name) if tensor_name in constants else "",
        )
        for tensor_name, (shape, kind) in inference.known().items()
    }
    for node in nodes:
        for tensor_name in (*node.inputs, *node.outputs):
            tensors.setdefault(tensor_name, Tensor(tensor_name, (), "unknown"))
    return ModelGraph(
        name=name or graph.name or "model",
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        nodes=tuple(nodes),
        inputs=tuple(item.name for item in inputs),
        outputs=tuple(item.name for item in graph.output),
        tensors=tensors,
    )


def _parse(data: bytes, limits: Limits) -> onnx.ModelProto:
    if len(data) > limits.size_bytes:
        raise GraphError(
            GraphFault.TOO_LARGE,
            f"the file has {len(data)} bytes, more than the {limits.size_bytes} accepted; "
            "store its weights as external data, only shapes are needed",
        )
    if not data:
        raise GraphError(GraphFault.NOT_A_MODEL, "the file is empty")
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise GraphError(GraphFault.NOT_A_MODEL, f"this is {what}, not an ONNX file")
    try:
        model = onnx.load_model_from_string(data)
    except google.protobuf.message.DecodeError as error:
        raise GraphError(
            GraphFault.CORRUPT,
            "the file is not ONNX, or it is truncated, corrupt or nested too deeply to decode",
        ) from error
    if not model.graph.node:
        raise GraphError(GraphFault.NOT_A_MODEL, "the file decodes, but holds no graph with operators")
    return model


def _check_size(graph: onnx.GraphProto, limits: Limits) -> None:
    """Count nodes through all subgraphs, and their nesting."""
    count = 0
    level = [graph]
    for _ in range(limits.depth):
        count += sum(len(item.node) for item in level)
        if count > limits.nodes:
            raise GraphError(GraphFault.TOO_LARGE, f"the graph has more than {limits.nodes} operators")
        level = [inner for item in level for node in item.node for inner in _subgraphs(node)]
        if not level:
            return
    raise GraphError(GraphFault.TOO_DEEP, f"control flow is nested more than {limits.depth} levels deep")


def _subgraphs(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _reads(node: onnx.NodeProto) -> tuple[str, ...]:
    """Names that a node reads: its inputs, then what its subgraphs capture from outside."""
    explicit = tuple(name for name in node.input if name)
    captured: dict[str, None] = {}
    for inner in _subgraphs(node):
        captured.update(dict.fromkeys(_captures(inner)))
    return explicit + tuple(name for name in captured if name not in explicit)


def _captures(graph: onnx.GraphProto) -> Iterable[str]:
    local = {item.name for item in graph.input} | {item.name for item in graph.initializer}
    local |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        for name in _reads(node):
            if name not in local:
                yield name
    for output in graph.output:
        if output.name not in local:
            yield output.name


def _ordered(nodes: Iterable[onnx.NodeProto], reads: list[tuple[str, ...]], known: set[str]) -> list[int]:
    nodes = list(nodes)
    writer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in writer or name in known:
                raise GraphError(GraphFault.CORRUPT, f"tensor '{name}' is written twice")
            writer[name] = index
    before = []
    for index, names in enumerate(reads):
        for name in names:
            if name not in writer and name not in known:
                raise GraphError(
                    GraphFault.DANGLING,
                    f"operator {index} ({nodes[index].op_type}) reads tensor '{name}', which nothing writes",
                )
        before.append({writer[name] for name in names if name in writer})
    order = topological_order(before)
    if order is None:
        raise GraphError(GraphFault.CYCLE, "the graph has a cycle; an operator needs its own result")
    return order


def _bind_inputs(
    inference: ShapeInference, inputs: list[onnx.ValueInfoProto], wanted: Mapping[str, Shape]
) -> None:
    unknown = sorted(set(wanted) - {item.name for item in inputs})
    if unknown:
        names = ", ".join(item.name for item in inputs)
        raise GraphError(GraphFault.BAD_SHAPE, f"the model has no input {unknown}; its inputs are: {names}")
    symbols = _symbols(inputs, wanted)
    unbound = []
    for item in inputs:
        tensor = item.type.tensor_type
        if not item.type.HasField("tensor_type"):
            inference.add_opaque(item.name, item.type)
            continue
        shape = wanted.get(item.name)
        if shape is None:
            axes = [_axis(dim, symbols) for dim in tensor.shape.dim]
            if not tensor.HasField("shape") or any(isinstance(axis, str) for axis in axes):
                unbound.append(f"{item.name}[{', '.join(map(str, axes))}]")
                continue
            shape = tuple(axis for axis in axes if isinstance(axis, int))
        inference.add_shape(item.name, shape, tensor.elem_type)
    if unbound:
        raise GraphError(
            GraphFault.UNBOUND_AXES,
            f"dynamic axes are not bound: {'; '.join(unbound)}; name a shape for these inputs",
        )


def _axis(dim: onnx.TensorShapeProto.Dimension, symbols: Mapping[str, int]) -> int | str:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    return symbols.get(dim.dim_param, dim.dim_param or "?")


def _symbols(inputs: list[onnx.ValueInfoProto], wanted: Mapping[str, Shape]) -> dict[str, int]:
    """Values of axis symbols from the bound inputs; a shape must fit the declared one."""
    symbols: dict[str, int] = {}
    for item in inputs:
        shape = wanted.get(item.name)
        if shape is None:
            continue
        tensor = item.type.tensor_type
        axes = [_axis(dim, {}) for dim in tensor.shape.dim]
        declared = f"input '{item.name}' is declared [{', '.join(map(str, axes))}], got {list(shape)}"
        if any(not 0 <= size <= MAX_DIMENSION for size in shape):
            raise GraphError(GraphFault.BAD_SHAPE, f"{declared}: a dimension is out of range")
        if not tensor.HasField("shape"):
            continue
        if len(axes) != len(shape):
            raise GraphError(GraphFault.BAD_SHAPE, declared)
        for axis, size in zip(axes, shape, strict=True):
            fixed = symbols.get(axis) if isinstance(axis, str) else axis
            if fixed is not None and fixed != size:
                raise GraphError(GraphFault.BAD_SHAPE, declared)
            if isinstance(axis, str) and axis != "?":
                symbols[axis] = size
    return symbols


def _unique_names(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """File names of the nodes; unnamed ones are called after their first output."""
    names: list[str] = []
    used: set[str] = set()
    for index, node in enumerate(nodes):
        base = node.name or next(filter(None, node.output), "") or f"{node.op_type}_{index}"
        name = base if base not in used else f"{base}#{index}"
        used.add(name)
        names.append(name)
    return names


def _node(name: str, proto: onnx.NodeProto, reads: tuple[str, ...], inference: ShapeInference) -> Node:
    outputs = tuple(filter(None, proto.output))
    explicit = tuple(filter(None, proto.input))
    operator = Operator(
        op_type=proto.op_type,
        inputs=inference.shapes(explicit),
        outputs=inference.shapes(outputs),
        dtype=inference.dtype(explicit[:1] or outputs[:1]),
        attributes=_attributes((*inference.defaults(proto), *proto.attribute)),
    )
    return Node(name, operator, reads, outputs)


def _attributes(explicit: Iterable[onnx.AttributeProto]) -> dict[str, AttributeValue]:
    """Scalar and short list attributes; tensors and subgraphs do not describe a cost."""
    values: dict[str, AttributeValue] = {}
    for attribute in explicit:
        match attribute.type:
            case onnx.AttributeProto.INT:
                values[attribute.name] = int(attribute.i)
            case onnx.AttributeProto.FLOAT:
                values[attribute.name] = float(attribute.f)
            case onnx.AttributeProto.STRING:
                values[attribute.name] = attribute.s[:256].decode("utf-8", "replace")
            case onnx.AttributeProto.INTS:
                values[attribute.name] = [int(value) for value in attribute.ints[:_MAX_LIST]]
            case onnx.AttributeProto.FLOATS:
                values[attribute.name] = [float(value) for value in attribute.floats[:_MAX_LIST]]
    return values
