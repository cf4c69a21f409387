"""Wall-clock times that never run backwards inside an episode, however the system clock is set meanwhile."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

JUMP_US = 1_000_000
"""A wall clock that strays this far (1 s) from the steady one was set: a step, not a drift."""


class AnchoredClock:
    """Steady time on a wall-clock anchor.

    Every time is the anchor plus what the steady clock counted since, so that differences between two
    times are true durations. `resync` moves the anchor, between episodes, when the system clock was set.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._anchor_wall_ns = wall_ns()
        self._anchor_steady_ns = steady_ns()

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return (self._anchor_wall_ns + self._steady_ns() - self._anchor_steady_ns) // 1000

    def resync(self) -> int:
        """Follow the system clock if it was set; return the step in microseconds, 0 where there was none."""
        step_us = self._wall_ns() // 1000 - self.now_us()
        if abs(step_us) < JUMP_US:
            return 0
        self._anchor_wall_ns, self._anchor_steady_ns = self._wall_ns(), self._steady_ns()
        return step_us


def rfc3339(epoch_us: int) -> str:
    """Return the RFC 3339 UTC text of microseconds since the epoch, with six decimals."""
    moment = datetime.fromtimestamp(epoch_us // 1_000_000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_us % 1_000_000:06d}Z"
