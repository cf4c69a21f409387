"""How a program hears that it shall end: Ctrl-C sends SIGINT, service managers send SIGTERM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def stop_event() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on, for loops that end between two steps."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def interrupted_on_terminate() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C within the block, so that everything it started is taken down either way."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
