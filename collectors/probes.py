"""Two fixed pieces of work, each under a millisecond on a calm core, timed just before a run.

How long they take now, against how long they took in calm conditions, says more about the processor than
any counter: it feels cache, memory bandwidth, clock and competitors together, and needs no privilege.
"""

import time

import numpy as np

MEMORY_BYTES = 4 * 1024 * 1024
COMPUTE_LENGTH = 2048
COMPUTE_ROUNDS = 128


class Probes:
    """The memory and the arithmetic probe on buffers allocated once."""

    def __init__(self) -> None:
        self._source = np.ones(MEMORY_BYTES, dtype=np.uint8)
        self._target = np.zeros(MEMORY_BYTES, dtype=np.uint8)
        self._values = np.linspace(0.5, 1.5, COMPUTE_LENGTH, dtype=np.float32)
        self._work = np.zeros(COMPUTE_LENGTH, dtype=np.float32)
        self.memory_us()  # the first touch pays for page faults, which are no property of the machine's load

    def memory_us(self) -> float:
        """Microseconds of one copy of 4 MiB."""
        start_ns = time.perf_counter_ns()
        np.copyto(self._target, self._source)
        return (time.perf_counter_ns() - start_ns) / 1000

    def compute_us(self) -> float:
        """Microseconds of a fixed number of multiplications on 8 KiB, which stay in the first cache."""
        values, work = self._values, self._work
        start_ns = time.perf_counter_ns()
        for _ in range(COMPUTE_ROUNDS):
            np.multiply(values, work, out=work)
        return (time.perf_counter_ns() - start_ns) / 1000
