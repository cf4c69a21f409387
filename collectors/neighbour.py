"""Another model at work on another core, as when two stages of a plan run at the same time."""

import threading
from types import TracebackType

from collectors.errors import ModelError
from collectors.measurement import Measurement
from collectors.pinning import pinned
from collectors.runners.runner import LoadedModel
from collectors.sensors import Context
from predictors.cost import input_bytes, output_bytes, weight_bytes


def bytes_per_us(run: Measurement) -> float:
    """Return how much memory traffic a run asks for: bytes of its kernels' tensors over its latency."""
    moved = sum(input_bytes(k) + weight_bytes(k) + output_bytes(k) for k in run.kernels)
    return moved / max(run.total_us, 1.0)


class Neighbour:
    """Runs a model over and over on a core, as a context manager; without a model it does nothing.

    ONNX Runtime holds no interpreter lock while it computes, so a thread does.
    """

    def __init__(
        self, model: LoadedModel | None = None, core: int = 0, traffic_bytes_per_us: float | None = None
    ) -> None:
        self._model = model
        self._core = core
        self._stop = threading.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.context: Context = {}
        self.description = ""
        if model is not None:
            self.description = f"{model.identity.name} at work on cpu:{core}"
            if traffic_bytes_per_us is not None:
                self.context["neighbour_bytes_per_us"] = traffic_bytes_per_us

    def __enter__(self) -> None:
        if self._model is not None:
            self._thread.start()
            self._started.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._model is not None:
            self._thread.join()

    def _work(self) -> None:
        assert self._model is not None
        try:
            with pinned(self._core):
                while not self._stop.is_set():
                    self._model.run(profiled=False)
                    self._started.set()
        except ModelError:
            self.context.clear()
        finally:
            self._started.set()
