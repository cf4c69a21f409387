"""The contract of a partition strategy, and where strategies are found.

A strategy is one module of `app.planning.strategies` with a `STRATEGY`; being there registers it.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from app.planning import strategies
from app.planning.effort import Effort
from app.planning.plan import Draft
from app.planning.problem import Problem


class Granularity(StrEnum):
    """How fine a strategy cuts."""

    SUBGRAPH = "subgraph"
    INTER_OPERATOR = "inter_operator"
    INTRA_OPERATOR = "intra_operator"
    TASK = "task"


class ImpossibleError(Exception):
    """A strategy has no plan for this problem; the message says why."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to partition.

    `propose` returns one or more drafts, best first where it knows; it raises `ImpossibleError` with a
    reason. `every` answers each draft as a plan of its own instead of the best one only.
    """

    name: str
    granularity: Granularity
    propose: Callable[[Problem, Effort], Sequence[Draft]]
    every: bool = False


def proposals(strategy: Strategy, problem: Problem, effort: Effort) -> Sequence[Draft]:
    """Return what a strategy proposes, asked once a problem."""
    if strategy.name not in problem.proposed:
        problem.proposed[strategy.name] = strategy.propose(problem, effort)
    return problem.proposed[strategy.name]


@lru_cache(maxsize=1)
def all_strategies() -> Mapping[str, Strategy]:
    """Return every strategy by name, in the order of their names."""
    found = {}
    for info in pkgutil.iter_modules(strategies.__path__):
        module = importlib.import_module(f"{strategies.__name__}.{info.name}")
        strategy: Strategy = module.STRATEGY
        found[strategy.name] = strategy
    return dict(sorted(found.items()))
