"""How much work a search may do: a fixed amount, so that the same request gives the same plan."""

import time
from dataclasses import dataclass, field

_STEPS_PER_MS = 120
"""Simulated candidate moves that one millisecond of budget buys; a rate of its own, not of this machine."""
_GRACE = 100.0
"""The clock stops a search only when it computes for this many times its budget; waiting does not count."""


@dataclass
class Effort:
    """A budget in milliseconds, spent in steps; `stopped_early` tells that the clock cut it short."""

    budget_ms: float = 10.0
    stopped_early: bool = False
    _spent: int = field(default=0, init=False)
    _deadline: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._deadline = time.thread_time() + self.budget_ms * _GRACE / 1000.0

    @property
    def steps(self) -> int:
        """Steps that are left."""
        return max(0, int(self.budget_ms * _STEPS_PER_MS) - self._spent)

    def spend(self, steps: int = 1) -> bool:
        """Take steps; False once they, or the time, are used up."""
        self._spent += steps
        if time.thread_time() > self._deadline:
            self.stopped_early = True
            return False
        return self.steps > 0
