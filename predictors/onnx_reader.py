"""Read an ONNX file into a model graph: only shapes matter, weights may be absent or external.

Nothing in the file is trusted. Shapes are inferred one node at a time by ONNX's own schemas, and only
small integer tensors (shape arithmetic) are ever evaluated, so no declared dimension makes the reader
allocate; sizes, node counts, nesting and time are bounded by `Limits`.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping

import google.protobuf.message
import onnx

from predictors.graph import AttributeValue, ModelGraph, Node, Operator, Shape, Tensor
from predictors.graph_errors import GraphError, GraphFault
from predictors.model_file import DEFAULT_LIMITS, Limits, check_bytes, ordered, unique_names
from predictors.onnx_axes import bind_inputs
from predictors.onnx_functions import inlined
from predictors.onnx_shapes import ShapeInference, dtype_name

_MAX_LIST = 64


def read(
    data: bytes,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    limits: Limits = DEFAULT_LIMITS,
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
    deadline = time.thread_time() + limits.seconds
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
    bind_inputs(inference, inputs, input_shapes)

    reads = [_reads(node) for node in graph.node]
    known = {*constants, *sparse, *(item.name for item in inputs)}
    writes = [tuple(filter(None, node.output)) for node in graph.node]
    order = ordered(reads, writes, known, [node.op_type for node in graph.node])
    names = unique_names([node.name for node in graph.node], writes)
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
    check_bytes(data, limits)
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
