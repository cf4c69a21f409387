"""How far off a whole answer may be for want of measurements: what scatter of past misses cannot tell.

Intervals come from misses on what was measured. Where a processor, a network or a type of operator was not,
its level itself is a guess, and the same guess for all of its runs. The standard deviations here (of log
latency) are what an expert would say beforehand, checked on phones whose processors are left out: docs/
accuracy.md holds them against the truth. They vanish as measurements come in.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.device_state import group_of
from predictors.run import RunQuery

Floats = NDArray[np.float64]

PHYSICAL = 1.0
"""Nobody measured anything of the kind: the physical prior's rates are a guess."""

RELATIVES = 0.6
"""Others of its kind were measured: its speed is theirs, more or less."""

_NEXT_NETWORK_CPU = 0.25
"""Measured on one network, asked about another; on CPUs the same law holds for most."""

_NEXT_NETWORK_ELSEWHERE = 0.8
"""The same where waiting for the processor counts more than computing, which differs by network."""

_UNTIMED_TYPE = 1.0
_UNKNOWN_OPERATORS = 1.0


@dataclass(frozen=True)
class Grounds:
    """What a version's levels rest on.

    `networks` were timed whole, `types` of operators one by one; `met` names groups of runs (network and way
    of timing) whose level was learned later; `lent` tells that relatives' operators stand in where nothing
    was timed; `cpu` that the processor is one.
    """

    networks: int
    types: frozenset[str]
    met: frozenset[str]
    lent: bool
    cpu: bool

    def doubt_log(self, query: RunQuery, operators_log_us: Floats, *, known: bool, later: bool) -> float:
        """Return the standard deviation (log) of the level for a run; 0 where it was measured.

        `operators_log_us` are its operators' predicted latencies, shape (n_operators,); `known` tells that
        its network was in the calm profile, `later` that runs after it count too.
        """
        if not self.networks:
            return RELATIVES if self.lent else PHYSICAL
        if known or (later and group_of(query) in self.met):
            return 0.0
        if not query.operators:
            return _UNKNOWN_OPERATORS
        next_network = (
            _NEXT_NETWORK_CPU / self.networks if self.cpu else _NEXT_NETWORK_ELSEWHERE / sqrt(self.networks)
        )
        return sqrt(next_network**2 + (_UNTIMED_TYPE * self._untimed(query, operators_log_us)) ** 2)

    def _untimed(self, query: RunQuery, operators_log_us: Floats) -> float:
        """Return the share (0 to 1) of predicted time in operators of types that were never timed."""
        untimed = np.array([operator.op_type not in self.types for operator in query.operators])
        if not untimed.any():
            return 0.0
        latency_us = np.exp(operators_log_us)
        return float(latency_us[untimed].sum() / latency_us.sum())

    def to_json(self) -> dict[str, Any]:
        """Return the grounds as plain data."""
        return {
            "networks": self.networks,
            "types": sorted(self.types),
            "met": sorted(self.met),
            "lent": self.lent,
            "cpu": self.cpu,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Grounds":
        """Rebuild grounds from plain data."""
        return cls(
            data["networks"], frozenset(data["types"]), frozenset(data["met"]), data["lent"], data["cpu"]
        )


def is_cpu(processor: str) -> bool:
    """Return whether a processor's name says that it is a CPU or a part of one."""
    return processor.lower().startswith("cpu")
