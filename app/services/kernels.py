"""What a framework runs for a model: from its uploaded file, from reported runs, or both."""

from collections.abc import Sequence

from app.errors import NotFoundError
from app.store import models
from app.store.engine import Connection
from predictors import fusion
from predictors.fusion import KernelGraph
from predictors.graph import Operator


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


def kernels(
    connection: Connection, digest: str, *, framework: str, processor: str
) -> tuple[Sequence[Operator], str]:
    """Return a model's kernels in execution order, and where they come from; raise `NotFoundError`.

    What runs reported is what ran; the file's mapping serves only where no run did.
    """
    reported = models.reported_kernels(
        connection, digest, processor_name=processor, framework_name=framework or None
    )
    if reported is not None:
        return reported, "reported"
    mapped = kernel_graph(connection, digest, framework=framework)
    return mapped.operators, mapped.mapping
