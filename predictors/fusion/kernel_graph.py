"""What a framework runs for a model: kernels, each with the operators of the file that it covers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from predictors.graph import ModelGraph, Operator


@dataclass(frozen=True)
class KernelGraph:
    """A model as a framework runs it.

    `graph` holds the kernels as nodes in an order of execution; `covers[i]` names the file's operators that
    kernel `i` computes (empty for a kernel that only moves data); `folded` names those that are computed
    once when the model is loaded. `mapping` says where the kernels come from: the rules of a framework, or
    those rules corrected by what devices reported.
    """

    graph: ModelGraph
    covers: tuple[tuple[str, ...], ...]
    folded: tuple[str, ...]
    framework: str
    mapping: str

    @property
    def operators(self) -> Sequence[Operator]:
        """The kernels' own records, in order."""
        return [node.operator for node in self.graph.nodes]

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the whole content."""
        return hashlib.sha256(msgspec.json.encode(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that holds the whole kernel graph."""
        return {
            "graph": self.graph.to_json(),
            "covers": [list(names) for names in self.covers],
            "folded": list(self.folded),
            "framework": self.framework,
            "mapping": self.mapping,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "KernelGraph":
        """Return the kernel graph that `to_json` wrote."""
        return cls(
            ModelGraph.from_json(data["graph"]),
            tuple(tuple(names) for names in data["covers"]),
            tuple(data["folded"]),
            data["framework"],
            data["mapping"],
        )
