"""`/v1/models`: upload a model file, look at its operator graph."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from app.api.bodies import read_body
from app.api.dependencies import DatabaseDep, SettingsDep
from app.auth import require
from app.errors import Fault, InvalidRequestError
from app.schemas.models import ModelOut, OperatorOut
from app.services import models
from app.services.keys import Role
from predictors import cost
from predictors.graph import ModelGraph, Node, Shape

router = APIRouter(
    prefix="/v1/models",
    tags=["models"],
    dependencies=[Depends(require(Role.SCHEDULER, Role.ANALYST, Role.AGENT))],
)


@router.post("")
async def post_model(
    request: Request,
    settings: SettingsDep,
    database: DatabaseDep,
    name: Annotated[str | None, Query(max_length=200)] = None,
    input_: Annotated[
        list[str] | None, Query(alias="input", description="Binds dynamic axes: `images:1,3,224,224`.")
    ] = None,
) -> ModelOut:
    """Take an ONNX file (the request's body); answer its digest and operator graph with costs."""
    shapes = dict(map(_input_shape, input_ or []))
    data = await read_body(
        request, max_body_bytes=settings.max_model_bytes, max_decoded_bytes=settings.max_model_bytes
    )
    graph = await run_in_threadpool(models.register, database, data, name=name, input_shapes=shapes)
    return _model(graph)


@router.get("/{digest}")
def get_model(digest: str, database: DatabaseDep) -> ModelOut:
    """Answer an uploaded model's operator graph with costs."""
    return _model(models.get(database, digest))


def _input_shape(text: str) -> tuple[str, Shape]:
    name, _, dimensions = text.rpartition(":")
    try:
        shape = tuple(int(dimension) for dimension in dimensions.split(","))
        if not name or min(shape, default=0) < 0:
            raise ValueError
    except ValueError as error:
        detail = f"`input={text}` is not `name:1,3,224,224`."
        raise InvalidRequestError(detail, faults=(Fault("/query/input", detail),)) from error
    return name, shape


def _model(graph: ModelGraph) -> ModelOut:
    operators = [_operator(node) for node in graph.nodes]
    return ModelOut(
        digest=graph.digest,
        name=graph.name,
        inputs={name: list(graph.tensors[name].shape) for name in graph.inputs},
        outputs={name: list(graph.tensors[name].shape) for name in graph.outputs},
        operators=operators,
        macs=sum(operator.macs for operator in operators),
        weight_bytes=sum(operator.weight_bytes for operator in operators),
    )


def _operator(node: Node) -> OperatorOut:
    operator = node.operator
    return OperatorOut(
        name=node.name,
        op_type=operator.op_type,
        inputs=[list(shape) for shape in operator.inputs],
        outputs=[list(shape) for shape in operator.outputs],
        dtype=operator.dtype,
        attributes=dict(operator.attributes),
        macs=cost.macs(operator),
        input_bytes=cost.input_bytes(operator),
        weight_bytes=cost.weight_bytes(operator),
        output_bytes=cost.output_bytes(operator),
    )
