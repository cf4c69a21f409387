"""Operators and model graphs: what a neural network asks a processor to do.

An operator (of a model file) and a kernel (what a framework runs after fusing operators) are the same
record: type, shapes, data type, attributes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

Shape = tuple[int, ...]
AttributeValue = bool | int | float | str | list[int] | list[float] | list[str]

DTYPE_BYTES: Mapping[str, int] = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}


def element_count(shape: Shape) -> int:
    """Return the number of elements of a tensor: 1 for a scalar `()`, 0 where any dimension is 0."""
    count = 1
    for dimension in shape:
        count *= dimension
    return count


@dataclass(frozen=True)
class Operator:
    """One operator or kernel by what determines its cost.

    `inputs` are the shapes of all inputs in order, weights included; `outputs` those of all outputs. Both
    may be empty where shapes are unknown. Equality is equality of the canonical form.
    """

    op_type: str
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    dtype: str = "float32"
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict, hash=False)

    @cached_property
    def _hash(self) -> int:
        return hash((self.op_type, self.inputs, self.outputs, self.dtype))

    def __hash__(self) -> int:
        # Kept: operators are looked up thousands of times a plan, and their shapes are long to hash.
        return self._hash

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, the form that the wire uses too."""
        return {
            "op_type": self.op_type,
            "inputs": [list(shape) for shape in self.inputs],
            "outputs": [list(shape) for shape in self.outputs],
            "dtype": self.dtype,
            "attributes": dict(self.attributes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Operator":
        """Return the operator that `to_json` wrote."""
        return cls(
            data["op_type"],
            tuple(tuple(shape) for shape in data["inputs"]),
            tuple(tuple(shape) for shape in data["outputs"]),
            data["dtype"],
            data["attributes"],
        )

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON text: sorted keys, no white space."""
        return msgspec.json.encode(self.to_json(), order="sorted").decode()

    @cached_property
    def signature(self) -> str:
        """Hexadecimal SHA-256 (first 128 bits) of the canonical form."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Tensor:
    """A named value of a graph; `constant` for weights and other initialisers.

    `content` is a digest of a small constant's value (what elimination of equal expressions goes by).
    """

    name: str
    shape: Shape
    dtype: str
    constant: bool = False
    content: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes the tensor occupies; data types of unknown width count 4 bytes an element."""
        return element_count(self.shape) * DTYPE_BYTES.get(self.dtype, 4)


@dataclass(frozen=True)
class Node:
    """One operator of a graph with the names of the tensors that it reads and writes."""

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ModelGraph:
    """A model as a directed acyclic graph of operators, nodes in topological order.

    `inputs` and `outputs` name the graph's own tensors; `tensors` knows every tensor by name.
    """

    name: str
    digest: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]

    @cached_property
    def producer(self) -> Mapping[str, int]:
        """Index of the node that writes each tensor; graph inputs and constants are absent."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs}

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """For each node the sorted indexes of the nodes whose outputs it reads."""
        return tuple(
            tuple(sorted({self.producer[name] for name in node.inputs if name in self.producer}))
            for node in self.nodes
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that holds the whole graph; equal operators are written once."""
        distinct = {node.operator.canonical: node.operator for node in self.nodes}
        index = {canonical: place for place, canonical in enumerate(distinct)}
        return {
            "name": self.name,
            "digest": self.digest,
            "operators": [operator.to_json() for operator in distinct.values()],
            "nodes": [
                [node.name, index[node.operator.canonical], list(node.inputs), list(node.outputs)]
                for node in self.nodes
            ],
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "tensors": [
                [tensor.name, list(tensor.shape), tensor.dtype, tensor.constant, tensor.content]
                for tensor in self.tensors.values()
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelGraph":
        """Return the graph that `to_json` wrote."""
        operators = [Operator.from_json(item) for item in data["operators"]]
        return cls(
            name=data["name"],
            digest=data["digest"],
            nodes=tuple(
                Node(name, operators[place], tuple(inputs), tuple(outputs))
                for name, place, inputs, outputs in data["nodes"]
            ),
            inputs=tuple(data["inputs"]),
            outputs=tuple(data["outputs"]),
            tensors={
                name: Tensor(name, tuple(shape), dtype, constant, content)
                for name, shape, dtype, constant, content in data["tensors"]
            },
        )
