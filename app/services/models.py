"""Take model files in, and say what each operator of a model costs."""

from collections.abc import Mapping

from app.errors import Fault, InvalidRequestError, NotFoundError
from app.store import models
from app.store.engine import Database
from predictors import model_reader
from predictors.graph import ModelGraph, Shape
from predictors.graph_errors import GraphError


class UnreadableModelError(InvalidRequestError):
    """The file is not a model that can be read."""

    title = "Unreadable model"


def register(
    database: Database, data: bytes, *, name: str | None, input_shapes: Mapping[str, Shape]
) -> ModelGraph:
    """Parse an ONNX file and store its graph under the digest of its bytes.

    `input_shapes` binds dynamic axes by input name. Raises `UnreadableModelError`; then nothing is stored.
    """
    graph = read(data, name=name, input_shapes=input_shapes, pointer="")
    with database.write() as connection:
        models.put_graph(connection, graph, model_reader.without_weights(data))
    return graph


def read(data: bytes, *, name: str | None, input_shapes: Mapping[str, Shape], pointer: str) -> ModelGraph:
    """Parse an ONNX file; raise `UnreadableModelError` with a fault at `pointer`."""
    try:
        return model_reader.read(data, input_shapes=input_shapes, name=name)
    except GraphError as error:
        raise UnreadableModelError(str(error), faults=(Fault(pointer, error.fault.value),)) from error


def get(database: Database, digest: str) -> ModelGraph:
    """Return an uploaded model's graph; raise `NotFoundError`."""
    with database.read() as connection:
        graph = models.get_graph(connection, digest)
    if graph is None:
        raise NotFoundError(f"No model {digest} was uploaded; post its file to /v1/models.")
    return graph
