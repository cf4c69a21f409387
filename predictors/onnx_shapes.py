"""Shapes of an ONNX graph's tensors, node by node, with small integer tensors evaluated on the way."""

import hashlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from predictors.graph import Shape, element_count
from predictors.graph_errors import GraphError, GraphFault

MAX_DIMENSION = 2**31 - 1
MAX_ELEMENTS = 2**48
_MAX_VALUE = 1024
"""Elements of the largest tensor that is evaluated: shape arithmetic, never data."""

# Operators whose values decide shapes. Those of the second set can blow up a small input, so that they are
# evaluated only where inference already knows a small result.
_BOUNDED = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Concat", "Div", "Equal", "Floor", "Gather", "Greater", "Identity"}
    | {
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "Or",
        "Pow",
    }
    | {"ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Slice", "Split", "Sqrt", "Squeeze"}
    | {"Sub", "Transpose", "Unsqueeze", "Where"}
)
_EXPANDING = frozenset({"ConstantOfShape", "Expand", "Range", "Tile", "Trilu", "OneHot", "CumSum"})
_ENTRY = tuple[Shape, int]

_DTYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
}


def dtype_name(kind: int) -> str:
    """Return the name of an ONNX element type, `unknown` where there is none."""
    if kind in _DTYPES:
        return _DTYPES[kind]
    if not kind or kind not in onnx.TensorProto.DataType.values():
        return "unknown"
    return str(onnx.TensorProto.DataType.Name(kind)).lower()


class ShapeInference:
    """What is known of each tensor so far: its type, and its value where that is a small tensor."""

    def __init__(self, model: onnx.ModelProto, deadline: float) -> None:
        """Take the operator sets and declared shapes of `model`; give up at `deadline` (thread time)."""
        self._opsets = {item.domain: item.version for item in model.opset_import} or {"": 1}
        self._opset_protos = list(model.opset_import)
        self._declared = {item.name: item.type for item in (*model.graph.value_info, *model.graph.output)}
        self._schemas: dict[tuple[str, str], onnx.defs.OpSchema | None] = {}
        self._types: dict[str, onnx.TypeProto] = {}
        self._values: dict[str, NDArray[Any]] = {}
        self._deadline = deadline

    def add_constant(self, tensor: onnx.TensorProto) -> None:
        """Register an initialiser; its value is kept only if it is small and present."""
        shape = tuple(tensor.dims)
        self.add_shape(tensor.name, shape, tensor.data_type)
        external = tensor.data_location == onnx.TensorProto.EXTERNAL
        if element_count(shape) <= _MAX_VALUE and not external:
            try:
                self._values[tensor.name] = numpy_helper.to_array(tensor)
            except (ValueError, TypeError, KeyError):
                return  # absent data: the shape is known all the same

    def add_shape(self, name: str, shape: Iterable[int], kind: int) -> None:
        """Register a tensor of known shape."""
        dims = tuple(int(size) for size in shape)
        if any(not 0 <= size <= MAX_DIMENSION for size in dims) or element_count(dims) > MAX_ELEMENTS:
            raise GraphError(GraphFault.BAD_SHAPE, f"tensor '{name}' has an impossible shape {list(dims)}")
        self._types[name] = onnx.helper.make_tensor_type_proto(kind, dims)

    def add_opaque(self, name: str, kind: onnx.TypeProto) -> None:
        """Register a value that is no tensor (a sequence, a map, an optional)."""
        self._types[name] = kind

    def visit(self, node: onnx.NodeProto) -> None:
        """Infer the outputs of a node whose inputs were visited."""
        if time.thread_time() > self._deadline:
            raise GraphError(GraphFault.TOO_SLOW, "inferring the graph's shapes takes too long")
        inferred = self._infer(node)
        for name in filter(None, node.output):
            kind = inferred.get(name)
            if kind is None or not _static(kind):
                kind = self._declared.get(name, kind)
            if kind is not None:
                self._check(name, kind)
                self._types[name] = kind
        self._evaluate(node)

    def content(self, name: str) -> str:
        """Return a short digest of a small constant's value, empty where it is not known."""
        value = self._values.get(name)
        return "" if value is None else hashlib.sha256(value.tobytes()).hexdigest()[:16]

    def known(self) -> dict[str, _ENTRY]:
        """Return shape and element type of every tensor; `()` and 0 where they are unknown."""
        return {name: self._entry(kind) for name, kind in self._types.items()}

    def shapes(self, names: Iterable[str]) -> tuple[Shape, ...]:
        """Return the shapes of the named tensors up to the first unknown one."""
        shapes: list[Shape] = []
        for name in names:
            kind = self._types.get(name)
            if kind is None or not _static(kind):
                break
            shapes.append(self._entry(kind)[0])
        return tuple(shapes)

    def dtype(self, names: Iterable[str]) -> str:
        """Return the element type of the first name, `unknown` where there is none."""
        for name in names:
            if name in self._types:
                return dtype_name(self._entry(self._types[name])[1])
        return "unknown"

    def defaults(self, node: onnx.NodeProto) -> list[onnx.AttributeProto]:
        """Return the attributes that the operator's schema sets where the file says nothing."""
        schema = self._schema(node)
        if schema is None:
            return []
        return [item.default_value for item in schema.attributes.values() if item.default_value.name]

    def _schema(self, node: onnx.NodeProto) -> onnx.defs.OpSchema | None:
        key = (node.domain, node.op_type)
        if key not in self._schemas:
            try:
                version = self._opsets.get(node.domain, 1)
                self._schemas[key] = onnx.defs.get_schema(node.op_type, version, node.domain)
            except onnx.defs.SchemaError:
                self._schemas[key] = None  # another vendor's operator
        return self._schemas[key]

    def _entry(self, kind: onnx.TypeProto) -> _ENTRY:
        if not _static(kind):
            return (), kind.tensor_type.elem_type
        return tuple(dim.dim_value for dim in kind.tensor_type.shape.dim), kind.tensor_type.elem_type

    def _check(self, name: str, kind: onnx.TypeProto) -> None:
        shape, _ = self._entry(kind)
        if any(size > MAX_DIMENSION for size in shape) or element_count(shape) > MAX_ELEMENTS:
            raise GraphError(GraphFault.BAD_SHAPE, f"tensor '{name}' has an impossible shape {list(shape)}")

    def _infer(self, node: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        if node.op_type in {"If", "Loop", "Scan"}:
            return {}
        schema = self._schema(node)
        names = [name for name in node.input if name]
        if schema is None or any(name not in self._types for name in names):
            return {}
        data = {
            name: numpy_helper.from_array(self._values[name], name) for name in names if name in self._values
        }
        types = {name: self._types[name] for name in names}
        try:
            return shape_inference.infer_node_outputs(
                schema, node, types, input_data=data, opset_imports=self._opset_protos
            )
        except (
            shape_inference.InferenceError,
            onnx.checker.ValidationError,
            RuntimeError,
            ValueError,
        ) as error:
            raise GraphError(
                GraphFault.BAD_SHAPE,
                f"operator '{node.name or node.op_type}' ({node.op_type}) does not fit its inputs: "
                f"{str(error).splitlines()[0]}",
            ) from error

    def _evaluate(self, node: onnx.NodeProto) -> None:
        if node.domain not in {"", "ai.onnx"}:
            return
        if node.op_type == "Constant":
            self._constant(node)
            return
        names = [name for name in node.input if name]
        if node.op_type in {"Shape", "Size"}:
            kind = self._types.get(names[0]) if names else None
            if kind is None or not _static(kind):
                return
            # An unallocated view of the right shape: only its shape is read.
            feeds: dict[str, NDArray[Any]] = {
                names[0]: np.broadcast_to(np.zeros((), np.bool_), self._entry(kind)[0])
            }
        elif names and all(name in self._values for name in names):
            if node.op_type not in _BOUNDED and not (node.op_type in _EXPANDING and self._small(node)):
                return
            feeds = {name: self._values[name] for name in names}
        else:
            return
        try:
            results = ReferenceEvaluator(self._single(node)).run(None, feeds)
        except Exception:  # noqa: BLE001 (a value that cannot be computed is merely unknown)
            return
        for name, value in zip(node.output, results, strict=False):
            array = np.asarray(value)
            if name and array.size <= _MAX_VALUE:
                self._values[name] = array
                self.add_shape(name, array.shape, onnx.helper.np_dtype_to_tensor_dtype(array.dtype))

    def _single(self, node: onnx.NodeProto) -> onnx.ModelProto:
        inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "one", inputs, outputs)
        return onnx.helper.make_model(graph, opset_imports=self._opset_protos)

    def _small(self, node: onnx.NodeProto) -> bool:
        kinds = [self._types.get(name) for name in node.output if name]
        return all(
            kind is not None and _static(kind) and element_count(self._entry(kind)[0]) <= _MAX_VALUE
            for kind in kinds
        )

    def _constant(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.name == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(attribute.t)
                tensor.name = node.output[0]
                self.add_constant(tensor)
            elif attribute.name.startswith("value_") and "string" not in attribute.name:
                value = onnx.helper.get_attribute_value(attribute)
                array = np.asarray(value, dtype=np.int64 if "int" in attribute.name else np.float32)
                self.add_constant(numpy_helper.from_array(array, node.output[0]))


def _static(kind: onnx.TypeProto) -> bool:
    tensor = kind.tensor_type
    return (
        kind.HasField("tensor_type")
        and tensor.HasField("shape")
        and all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in tensor.shape.dim)
    )
