"""Inline a model's local functions, unless that would blow it up."""

import onnx
import onnx.inliner

from predictors.graph_errors import GraphError, GraphFault


def inlined(model: onnx.ModelProto, max_nodes: int) -> onnx.ModelProto:
    """Return the model without calls to its local functions; raise `GraphError` where they are hostile."""
    if not model.functions:
        return model
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], depth: int) -> int:
        if depth > len(bodies) or depth > 64:
            raise GraphError(GraphFault.TOO_DEEP, f"function '{key[1]}' calls itself or nests too deeply")
        if key not in sizes:
            sizes[key] = sum(cost((node.domain, node.op_type), depth + 1) for node in bodies[key])
        return sizes[key]

    def cost(key: tuple[str, str], depth: int) -> int:
        return size(key, depth) if key in bodies else 1

    total = sum(cost((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > max_nodes:
        raise GraphError(
            GraphFault.TOO_LARGE,
            f"the graph has more than {max_nodes} operators once its functions are inlined",
        )
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise GraphError(GraphFault.CORRUPT, f"its local functions cannot be inlined: {error}") from error
