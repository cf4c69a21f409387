"""How ONNX Runtime runs matrix products with a bias: flattened to two dimensions, around one `Gemm`.

`MatMulAddFusion` turns a product of a batch with constant weights plus a bias into Reshape, Gemm, Reshape;
`ReshapeFusion` then makes one of two reshapes in a row; `MatMulScaleFusion` takes a scalar factor in.
"""

from predictors.fusion.patterns import Chain
from predictors.fusion.rewriting import Op, Rewriting
from predictors.graph import element_count


def flatten_products(graph: Rewriting) -> None:
    """Rewrite products of more than two dimensions plus a bias."""
    for product in graph:
        if product.op_type == "MatMul" and len(product.inputs) == 2:
            add = graph.only_reader(product)
            if add is not None and add.op_type == "Add":
                _flatten(graph, product, add)


def merge_reshapes(graph: Rewriting) -> None:
    """Let the last of several reshapes in a row do all the work."""
    for first in graph:
        while first.op_type == "Reshape" and len(first.inputs) == 2:
            second = graph.only_reader(first)
            if second is None or second.op_type != "Reshape" or second.inputs[0] not in first.outputs:
                break
            target, attributes = second.inputs[1], second.attributes
            graph.merge(first, second)
            graph.set_inputs(first, [first.inputs[0], target])
            first.attributes = dict(attributes)


def _scalar_factor(graph: Rewriting, first: Op, second: Op) -> bool:
    """Hold where a product is multiplied with or divided by one known number."""
    if any(graph.tensors[name].dtype != "float32" for name in first.inputs):
        return False
    if second.op_type == "Div" and second.inputs[0] not in first.outputs:
        return False
    others = [name for name in second.inputs if name not in first.outputs]
    return len(others) == 1 and graph.is_constant(others[0]) and element_count(graph.shape(others[0])) == 1


SCALING = (Chain(frozenset({"MatMul"}), frozenset({"Mul", "Div"}), "FusedMatMul", when=_scalar_factor),)


def _flatten(graph: Rewriting, product: Op, add: Op) -> None:
    data, weights = product.inputs
    bias = next((name for name in add.inputs if name not in product.outputs), "")
    shape, inner = graph.shape(data), graph.shape(weights)
    fits = graph.is_constant(weights) and graph.is_constant(bias) and len(inner) == 2 and len(shape) > 2
    if not fits or graph.shape(bias) != inner[1:] or graph.tensors[data].dtype != "float32":
        return
    rows = element_count(shape[:-1])
    flat = graph.derive(data, f"flat:{product.name}", (rows, shape[-1]))
    result = graph.derive(product.outputs[0], "flat", (rows, inner[1]))
    outputs = add.outputs
    graph.remove(add)
    graph.remove(product)
    for name, source, target, rank, offset in (
        (f"Reshape:{product.name}:in", data, flat, 2, -0.25),
        (f"Reshape:{product.name}:out", result, outputs[0], len(shape), 0.25),
    ):
        dims = graph.new_constant(f"{name}:shape", (rank,), "int64")
        inputs, rank_of_op = [source, dims], add.rank + offset
        graph.add(Op(name, "Reshape", inputs, [target], {"allowzero": 0}, [], rank_of_op))
    attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    covers = [*product.covers, *add.covers]
    graph.add(Op(product.name, "Gemm", [flat, weights, bias], [result], dict(attributes), covers, add.rank))
