"""An ONNX file without its weights: all that is needed to read it again with other input shapes."""

import onnx

from predictors.graph import element_count

KEPT_ELEMENTS = 1024
"""Constants up to this size stay: shape arithmetic and the elimination of equal ones need their values."""

_DATA_FIELDS = tuple(
    f"{kind}_data" for kind in ("raw", "float", "double", "int32", "int64", "uint64", "string")
)


def skeleton(data: bytes) -> bytes:
    """Return the file without the values of large constants; `data` must be one that can be read."""
    model = onnx.load_model_from_string(data)
    for tensor in _constants(model.graph):
        if element_count(tuple(tensor.dims)) > KEPT_ELEMENTS:
            for field in _DATA_FIELDS:
                tensor.ClearField(field)
    return bytes(model.SerializeToString())


def _constants(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    return [
        *graph.initializer,
        *(
            attribute.t
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.HasField("t")
        ),
    ]
