"""A model made ready to be cut: constants computed once, every node under the name that plans use."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from collectors.errors import PlanError
from collectors.executor.engines import onnxruntime_session
from predictors.graph import ModelGraph, Shape
from predictors.graph_errors import GraphError
from predictors.onnx_reader import read

IR_VERSION = 10
Array = NDArray[Any]


class SourceModel:
    """The nodes of an ONNX model by name, its constants as arrays, and all shapes.

    Raises:
        PlanError: the file cannot be read, or a shape is not known.

    """

    def __init__(self, data: bytes, input_shapes: Mapping[str, Shape] | None = None) -> None:
        try:
            self.graph: ModelGraph = read(data, input_shapes=input_shapes)
        except GraphError as error:
            raise PlanError(f"the model cannot be read: {error}") from error
        self._model = onnx.load_from_string(data)
        self.opsets = list(self._model.opset_import)
        self.opset = next((item.version for item in self.opsets if item.domain in ("", "ai.onnx")), 1)
        protos = {proto.output[0]: proto for proto in self._model.graph.node}
        self.nodes: dict[str, onnx.NodeProto] = {}
        self.captured: dict[str, tuple[str, ...]] = {}
        for node in self.graph.nodes:
            proto = protos[next(filter(None, node.outputs))]
            proto.name = node.name
            self.nodes[node.name] = proto
            self.captured[node.name] = tuple(name for name in node.inputs if name not in proto.input)
        self.constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in self._model.graph.initializer
        }
        self._fold()

    @cached_property
    def writer(self) -> Mapping[str, str]:
        """Name of the node that writes each tensor."""
        return {output: name for name, proto in self.nodes.items() for output in proto.output if output}

    @cached_property
    def readers(self) -> Mapping[str, list[str]]:
        """Names of the nodes that read each tensor."""
        readers: dict[str, list[str]] = {}
        for name, proto in self.nodes.items():
            for tensor in (*proto.input, *self.captured[name]):
                readers.setdefault(tensor, []).append(name)
        return readers

    def shape(self, tensor: str) -> Shape:
        """Return a tensor's shape.

        Raises:
            PlanError: it depends on the data.

        """
        if tensor in self.constants:
            return self.constants[tensor].shape
        known = self.graph.tensors.get(tensor)
        if known is None or known.dtype == "unknown":
            raise PlanError(f"the shape of tensor {tensor!r} is not known before the model runs")
        return known.shape

    def dtype(self, tensor: str) -> np.dtype[Any]:
        """Return a tensor's element type."""
        return np.dtype(self.graph.tensors[tensor].dtype)

    def _fold(self) -> None:
        """Compute what depends on constants only: the light models' weights, for example."""
        constant = set(self.constants)
        folded: dict[str, None] = {}
        for name, proto in self.nodes.items():
            if all(tensor in constant for tensor in proto.input if tensor) and not any(
                attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
                for attribute in proto.attribute
            ):
                folded[name] = None
                constant |= set(proto.output)
        wanted = [
            tensor
            for name in folded
            for tensor in self.nodes[name].output
            if tensor in self.graph.outputs
            or any(reader not in folded for reader in self.readers.get(tensor, ()))
        ]
        if wanted:
            self.constants |= dict(zip(wanted, self._compute(list(folded), wanted), strict=True))
        for name in folded:
            del self.nodes[name]
        self.__dict__.pop("readers", None)  # it was asked for while the constants were still nodes

    def _compute(self, names: list[str], wanted: list[str]) -> list[Array]:
        graph = onnx.helper.make_graph(
            [self.nodes[name] for name in names],
            "constants",
            [],
            [onnx.helper.make_empty_tensor_value_info(tensor) for tensor in wanted],
            list(self._model.graph.initializer),
        )
        model = onnx.helper.make_model(graph, opset_imports=self.opsets, ir_version=IR_VERSION)
        values: list[Array] = onnxruntime_session(model.SerializeToString()).run(wanted, {})
        return values
