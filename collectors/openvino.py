"""The optional second engine: the package, and how a model is made to run on one thread."""

import importlib
from typing import Any

from collectors.errors import CollectorError

SINGLE_THREAD = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,  # the calling thread is pinned already
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}


class NoOpenVinoError(CollectorError):
    """The package is not installed."""


def openvino() -> Any:  # noqa: ANN401
    """Return the package.

    Raises:
        NoOpenVinoError: it is not installed.

    """
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise NoOpenVinoError(
            "processors called ov:N need the package openvino: install socast[openvino]"
        ) from error
