"""What handing a tensor from one core to another costs: the wire's `transfers` of a host.

Cores of one machine share memory, so nothing is copied. A hand-over costs the waking of the other thread,
and what the other core pays for reading data that lies in the first one's cache: its first reading minus
its second, since the next operator has to read its input anyway.
"""

import time
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.pinning import pinned

SIZES_BYTES = (4 * 1024, 64 * 1024, 512 * 1024, 2 * 1024 * 1024, 8 * 1024 * 1024)

Tensor = NDArray[np.float32]


class Arrival(NamedTuple):
    """When the other thread woke, and how long its first and its second reading took (nanoseconds)."""

    woken_ns: int
    first_ns: int
    second_ns: int


class HandOver:
    """A thread on another core that takes tensors from the calling one, as a context manager."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._sent: SimpleQueue[Tensor | None] = SimpleQueue()
        self._arrived: SimpleQueue[Arrival] = SimpleQueue()
        self._thread = Thread(target=self._receive, daemon=True)

    def __enter__(self) -> "HandOver":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sent.put(None)
        self._thread.join()

    def time_us(self, tensor: Tensor) -> float:
        """Write the tensor, hand it over, and return what that cost in microseconds."""
        tensor += 1.0
        sent_ns = time.perf_counter_ns()
        self._sent.put(tensor)
        arrival = self._arrived.get()
        cold_ns = max(0, arrival.first_ns - arrival.second_ns)
        return (arrival.woken_ns - sent_ns + cold_ns) / 1000

    def _receive(self) -> None:
        with pinned(self._core):
            while (tensor := self._sent.get()) is not None:
                woken_ns = time.perf_counter_ns()
                tensor.max()
                first_ns = time.perf_counter_ns()
                tensor.max()
                self._arrived.put(Arrival(woken_ns, first_ns - woken_ns, time.perf_counter_ns() - first_ns))


def allocate_tensors() -> Mapping[int, Tensor]:
    """Return one tensor of each size in bytes, touched once."""
    return {size: np.zeros(size // 4, dtype=np.float32) for size in SIZES_BYTES}
