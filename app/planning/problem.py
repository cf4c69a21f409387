"""A planning problem: the kernels of all requested models as one graph, the processors, and their costs."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.planning.costs import CostSource, CostTable
from app.planning.plan import Draft
from app.planning.structure import STRUCTURES
from predictors.fusion import KernelGraph
from predictors.graph import Operator

if TYPE_CHECKING:
    from app.planning.timeline import Timeline


@dataclass(frozen=True)
class Processor:
    """One schedulable unit; processors that share a resource never run at the same time.

    `unsupported` holds operator types that it cannot run.
    """

    name: str
    kind: str
    resources: frozenset[str]
    unsupported: frozenset[str] = frozenset()

    def supports(self, operator: Operator) -> bool:
        """Tell whether this processor runs an operator, its fused activation included."""
        types = {operator.op_type, operator.op_type.removeprefix("Fused")}
        activation = operator.attributes.get("activation")
        if isinstance(activation, str):
            types.add(activation)
        return types.isdisjoint(self.unsupported)


@dataclass(frozen=True)
class ModelRequest:
    """One model to run: its kernels and, where it is a task, when it may start and must have ended.

    `after` holds the indexes of requested models that must finish first. All times in microseconds.
    """

    kernels: KernelGraph
    deadline_us: float | None = None
    period_us: float | None = None
    release_us: float = 0.0
    after: tuple[int, ...] = ()


class Problem:
    """Models, processors and costs; kernels of all models are numbered through, in topological order.

    `proposed` remembers what each strategy proposed, for those that build on others, and `timelines` what
    was simulated, by the draft's works.
    """

    def __init__(
        self,
        models: Sequence[ModelRequest],
        processors: Sequence[Processor],
        source: CostSource,
    ) -> None:
        self.models = tuple(models)
        self.processors = tuple(processors)
        self.structure = STRUCTURES.get([(model.kernels, model.after) for model in self.models])
        self.kernels, self.tensors = self.structure.kernels, self.structure.tensors
        self.after, self.blocks = self.structure.after, self.structure.blocks
        self.proposed: dict[str, Sequence[Draft]] = {}
        self.timelines: dict[Hashable, Timeline] = {}
        self.costs = CostTable(source, self.structure, self.processors)

    @cached_property
    def shares(self) -> NDArray[np.bool_]:
        """Whether two processors share a resource (a processor does with itself), shape (P, P)."""
        return np.array(
            [[bool(one.resources & other.resources) for other in self.processors] for one in self.processors]
        )

    @cached_property
    def fallback_processor(self) -> int | None:
        """The CPU that takes what others cannot run: it supports most kernels, then is the fastest."""
        latency = self.costs.full
        candidates = [place for place, processor in enumerate(self.processors) if processor.kind == "cpu"]
        if not candidates:
            return None

        def rank(place: int) -> tuple[int, float, int]:
            column = latency[:, place]
            known = np.isfinite(column)
            return int((~known).sum()), float(column[known].sum()), place

        return min(candidates, key=rank)

    def unsupported_everywhere(self) -> list[str]:
        """Names of kernels that no processor runs."""
        missing = ~np.isfinite(self.costs.full).any(axis=1)
        return [self.kernels[index].name for index in np.flatnonzero(missing)]
