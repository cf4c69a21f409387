"""Models: the graphs that were uploaded, and the kernels that runs of them reported."""

import json
import time

from sqlalchemy import Connection, select

from app.store.operators import OperatorReader
from app.store.tables import framework, model, model_graph, processor, run, timing
from app.store.upsert import insert_or
from predictors.graph import ModelGraph, Operator

SEARCHED_RUNS = 100
"""How many of a model's newest profiled runs are searched for one that was timed by operator."""


def put_graph(connection: Connection, graph: ModelGraph, skeleton: bytes | None) -> None:
    """Store an uploaded model under its digest: its graph, and its file without the weights, if kept.

    Once stored it stays as it is.
    """
    statement = insert_or(connection, model_graph).values(
        digest=graph.digest,
        name=graph.name,
        graph=json.dumps(graph.to_json(), separators=(",", ":")),
        skeleton=skeleton,
        uploaded_at_us=time.time_ns() // 1000,
    )
    connection.execute(statement.on_conflict_do_nothing())


def get_graph(connection: Connection, digest: str) -> ModelGraph | None:
    """Return the graph of an uploaded model."""
    text = connection.scalar(select(model_graph.c.graph).where(model_graph.c.digest == digest))
    return None if text is None else ModelGraph.from_json(json.loads(text))


def get_skeleton(connection: Connection, digest: str) -> bytes | None:
    """Return an uploaded model's file without its weights, None where it was not kept."""
    data = connection.scalar(select(model_graph.c.skeleton).where(model_graph.c.digest == digest))
    return None if data is None else bytes(data)


def list_graphs(connection: Connection) -> list[tuple[str, str]]:
    """Return (digest, name) of every uploaded model, newest first."""
    rows = connection.execute(
        select(model_graph.c.digest, model_graph.c.name).order_by(model_graph.c.uploaded_at_us.desc())
    )
    return [(row.digest, row.name) for row in rows]


def list_names(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Return (digest, name) of models as runs name them, the newest first; the digest may be empty."""
    rows = connection.execute(select(model.c.digest, model.c.name).order_by(model.c.id.desc()).limit(limit))
    return [(row.digest, row.name) for row in rows]


def reported_kernels(
    connection: Connection,
    digest: str,
    *,
    processor_name: str | None = None,
    framework_name: str | None = None,
) -> tuple[Operator, ...] | None:
    """Return the kernels, in execution order, that the newest profiled run of a model reported.

    A processor or framework narrows the search; None when no profiled run of it is stored.
    """
    keys = list(connection.scalars(select(model.c.id).where(model.c.digest == digest)))
    query = (
        select(run.c.id)
        .where(run.c.model_id.in_(keys), run.c.profiled.is_(True))
        .order_by(run.c.id.desc())
        .limit(SEARCHED_RUNS)
    )
    if processor_name is not None:
        query = query.join(processor, processor.c.id == run.c.processor_id).where(
            processor.c.name == processor_name
        )
    if framework_name is not None:
        query = query.join(framework, framework.c.id == run.c.framework_id).where(
            framework.c.name == framework_name
        )
    # One run at a time: asked for all at once, PostgreSQL would read every timing there is.
    for run_id in connection.scalars(query).all() if keys else ():
        timings = select(timing.c.operator_id).where(timing.c.run_id == run_id).order_by(timing.c.position)
        ids = connection.scalars(timings).all()
        if ids:
            operators = OperatorReader().get(connection, ids)
            return tuple(operators[key] for key in ids)
    return None
