"""Another model at work on another core, as when two stages of a plan run at the same time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from collectors.pinning import pinned
from collectors.runners.runner import LoadedModel


@contextmanager
def at_work(model: LoadedModel, core: int) -> Iterator[None]:
    """Run a model over and over on `core`; ONNX Runtime holds no interpreter lock while it computes."""
    stop = threading.Event()
    started = threading.Event()

    def work() -> None:
        with pinned(core):
            while not stop.is_set():
                model.run(profiled=False)
                started.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        started.wait()
        yield
    finally:
        stop.set()
        thread.join()
