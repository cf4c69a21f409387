"""What a framework runs for a model: from its uploaded file, from reported runs, or both."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from app.errors import NotFoundError
from app.services.models import read
from app.store import models
from app.store.engine import Connection
from predictors import fusion
from predictors.fusion import KernelGraph
from predictors.graph import Operator, Shape

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEPT_S = 5.0
MOST_KEPT = 1_000


class KernelCache:
    """Kernels by model, framework and processor; what was looked up holds for a few seconds.

    A model's kernels change only when its first runs are reported or its file is uploaded.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._graphs: dict[Hashable, tuple[float, KernelGraph]] = {}
        self._kernels: dict[tuple[str, str, str], tuple[float, tuple[Sequence[Operator], str]]] = {}

    def graph(
        self,
        connection: Connection,
        digest: str,
        *,
        framework: str,
        input_shapes: Mapping[str, Shape] | None = None,
    ) -> KernelGraph:
        """Return what `kernel_graph` returns, or `reshaped_kernel_graph` where input shapes are given."""
        if input_shapes:
            return self._remembered(
                self._graphs,
                (digest, framework, tuple(sorted(input_shapes.items()))),
                lambda: reshaped_kernel_graph(connection, digest, framework, input_shapes),
            )
        return self._remembered(
            self._graphs,
            (digest, framework, ()),
            lambda: kernel_graph(connection, digest, framework=framework),
        )

    def kernels(
        self, connection: Connection, digest: str, *, framework: str, processor: str
    ) -> tuple[Sequence[Operator], str]:
        """Return what `kernels` returns."""
        return self._remembered(
            self._kernels,
            (digest, framework, processor),
            lambda: kernels(connection, digest, framework=framework, processor=processor),
        )

    def _remembered(self, known: dict[K, tuple[float, V]], key: K, look_up: Callable[[], V]) -> V:
        found = known.get(key)
        if found is not None and self._clock() - found[0] < KEPT_S:
            return found[1]
        if len(known) >= MOST_KEPT:
            known.clear()
        known[key] = self._clock(), look_up()
        return known[key][1]


def kernel_graph(connection: Connection, digest: str, *, framework: str) -> KernelGraph:
    """Return an uploaded model's kernels, checked against and corrected by what runs of it reported.

    Raises `NotFoundError`.
    """
    graph = models.get_graph(connection, digest)
    if graph is None:
        raise NotFoundError(f"No model {digest} was uploaded; post its file to /v1/models.")
    reported = models.reported_kernels(connection, digest, framework_name=framework or None)
    if reported is None:
        return fusion.kernels(graph, framework)
    return fusion.fitted(graph, framework, reported)


def reshaped_kernel_graph(
    connection: Connection, digest: str, framework: str, input_shapes: Mapping[str, Shape]
) -> KernelGraph:
    """Return an uploaded model's kernels for other input shapes, by the framework's rules.

    Raises `NotFoundError`, or `UnreadableModelError` when the model does not take these shapes.
    """
    data = models.get_skeleton(connection, digest)
    if data is None:
        raise NotFoundError(
            f"No ONNX file {digest} was uploaded that could be read again with other shapes; "
            "post the model to /v1/models with `?input=NAME:1,3,224,224`."
        )
    graph = read(data, name=None, input_shapes=input_shapes, pointer="/models")
    return fusion.kernels(replace(graph, digest=digest), framework)


def kernels(
    connection: Connection, digest: str, *, framework: str, processor: str
) -> tuple[Sequence[Operator], str]:
    """Return a model's kernels in execution order, and where they come from; raise `NotFoundError`.

    What runs reported is what ran; the file's mapping serves only where no run did.
    """
    here = models.reported_kernels(
        connection, digest, processor_name=processor, framework_name=framework or None
    )
    reported = here or models.reported_kernels(connection, digest, framework_name=framework or None)
    if reported is not None:
        return reported, "reported"
    mapped = kernel_graph(connection, digest, framework=framework)
    return mapped.operators, mapped.mapping
