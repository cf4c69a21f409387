"""Operators and model graphs: what a neural network asks a processor to do.

An operator (of a model file) and a kernel (what a framework runs after fusing operators) are the same
record: type, shapes, data type, attributes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

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
    def canonical(self) -> str:
        """The canonical JSON text: sorted keys, no white space."""
        return json.dumps(
            {
                "op_type": self.op_type,
                "inputs": self.inputs,
                "outputs": self.outputs,
                "dtype": self.dtype,
                "attributes": dict(self.attributes),
            },
            sort_keys=True,
            separators=(",", ":"),
        )

    @cached_property
    def signature(self) -> str:
        """Hexadecimal SHA-256 (first 128 bits) of the canonical form."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Tensor:
    """A named value of a graph; `constant` for weights and other initialisers."""

    name: str
    shape: Shape
    dtype: str
    constant: bool = False

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

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each node the sorted indexes of the nodes that read its outputs."""
        followers: list[list[int]] = [[] for _ in self.nodes]
        for index, before in enumerate(self.predecessors):
            for earlier in before:
                followers[earlier].append(index)
        return tuple(tuple(indexes) for indexes in followers)
