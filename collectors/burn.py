"""The load itself: one process that keeps a core or the memory busy for a bounded time.

Run as a file by a bare interpreter: `burn.py KIND CORE DUTY SECONDS PARENT_PID`. Writes one line when the
load is up. Ends at its deadline, with its parent, or on any signal.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PERIOD_S = 0.020
STREAM_BYTES = 48 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


def compute() -> Callable[[], None]:
    """Return about 50 µs of arithmetic."""

    def work() -> None:
        value = 1
        for step in range(1500):
            value = (value * 31 + step) & 0xFFFF

    return work


def memory() -> Callable[[], None]:
    """Return a copy of one chunk; successive chunks walk through buffers larger than a cache."""
    source, target = bytearray(b"\1") * STREAM_BYTES, bytearray(STREAM_BYTES)
    read, write = memoryview(source), memoryview(target)
    position = 0

    def work() -> None:
        nonlocal position
        end = position + CHUNK_BYTES
        write[position:end] = read[position:end]
        position = end % STREAM_BYTES

    return work


def burn(work: Callable[[], None], duty: float, deadline: float, parent: int) -> None:
    """Work for `duty` of every period until the deadline or until the parent is gone."""
    while (start := time.monotonic()) < deadline and os.getppid() == parent:
        while time.monotonic() < start + duty * PERIOD_S:
            work()
        time.sleep(max(0.0, start + PERIOD_S - time.monotonic()))


def main(kind: str, core: str, duty: str, seconds: str, parent: str) -> None:
    """Start the load that the arguments describe."""
    sys.path.insert(0, str(Path(__file__).parent))
    from parent_death import die_with_parent  # type: ignore[import-not-found]

    die_with_parent(int(parent))
    deadline = time.monotonic() + float(seconds)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    work = {"compute": compute, "memory": memory}[kind]()
    work()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    burn(work, float(duty), deadline, int(parent))


if __name__ == "__main__":
    main(*sys.argv[1:])
