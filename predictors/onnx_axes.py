"""Bind the dynamic axes of an ONNX graph's inputs."""

from collections.abc import Mapping

import onnx

from predictors.graph import Shape
from predictors.graph_errors import GraphError, GraphFault
from predictors.onnx_shapes import MAX_DIMENSION, ShapeInference


def bind_inputs(
    inference: ShapeInference, inputs: list[onnx.ValueInfoProto], wanted: Mapping[str, Shape]
) -> None:
    """Register every input with its bound shape; raise `GraphError` where an axis is open or misfits."""
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
