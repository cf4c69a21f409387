"""The graph as ONNX Runtime runs it after optimisation: attributes and weights' shapes by node name."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import onnx

from predictors.graph import AttributeValue, Shape


@dataclass(frozen=True, slots=True)
class OptimizedNode:
    """A node that runs: its present inputs and outputs by tensor name, and its scalar and list attributes."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeValue]


class OptimizedGraph:
    """Looks nodes up by name; `shapes` holds those of weights and of inputs with fixed shapes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes: dict[str, list[OptimizedNode]] = defaultdict(list)
        for node in model.graph.node:
            self._nodes[node.name].append(_node(node))
        self.shapes: dict[str, Shape] = {
            tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer
        } | {
            value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
            for value in model.graph.input
            if all(dimension.HasField("dim_value") for dimension in value.type.tensor_type.shape.dim)
        }

    @classmethod
    def load(cls, path: Path) -> "OptimizedGraph":
        """Read the graph that a session saved; its weights' values are not needed and may be elsewhere."""
        return cls(onnx.load(path, load_external_data=False))

    def node(self, name: str, op_type: str) -> OptimizedNode | None:
        """Return the only node of that name and type; none where the name is not unique."""
        candidates = [node for node in self._nodes.get(name, []) if node.op_type == op_type]
        return candidates[0] if len(candidates) == 1 else None


def _node(node: onnx.NodeProto) -> OptimizedNode:
    attributes: dict[str, AttributeValue] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.type in (onnx.AttributeProto.INT, onnx.AttributeProto.FLOAT):
            attributes[attribute.name] = value
        elif attribute.type == onnx.AttributeProto.STRING:
            attributes[attribute.name] = value.decode(errors="replace")
        elif attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
            attributes[attribute.name] = list(value)
        elif attribute.type == onnx.AttributeProto.STRINGS:
            attributes[attribute.name] = [text.decode(errors="replace") for text in value]
    return OptimizedNode(
        op_type=node.op_type,
        inputs=tuple(name for name in node.input if name),
        outputs=tuple(name for name in node.output if name),
        attributes=attributes,
    )
