"""Plans and outcomes are stored once; models' graphs come back whole."""

import dataclasses
import uuid

import pytest
from sqlalchemy.exc import IntegrityError

from app.store import models, plans
from app.store.engine import Database
from app.store.plans import Outcome
from predictors.graph import ModelGraph, Node, Operator, Tensor


def outcome(**fields: object) -> Outcome:
    made = Outcome(
        uuid.uuid4(),
        1_000,
        41.5,
        0.98,
        {"co_running": 2},
        ["p2"],
        [{"id": 0, "waited_us": 3.0}],
        chosen_by=[],
    )
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


def test_plans_stay_as_first_stored(database: Database) -> None:
    with database.write() as connection:
        plans.put_plans(connection, {"objective": "mean"}, "mi9", [{"plan_id": "p1", "x": 1}])
        plans.put_plans(connection, {}, "mi9", [{"plan_id": "p1", "x": 2}, {"plan_id": "p2"}])
    with database.read() as connection:
        stored = plans.get_plan(connection, "p1")
        assert stored is not None
        assert (stored.plan, stored.request) == ({"plan_id": "p1", "x": 1}, {"objective": "mean"})
        assert plans.get_plan(connection, "p3") is None
        assert {p.plan_id for p in plans.latest_plans(connection, "mi9")} == {"p1", "p2"}


def test_outcomes_are_counted_once(database: Database) -> None:
    first = outcome()
    second = outcome(
        started_at_us=500,
        propensity=None,
        device_id="mi9",
        condition="s1",
        episode="e",
        chosen_by=["runtime"],
    )
    with database.write() as connection:
        plans.put_plans(connection, {}, None, [{"plan_id": "p1"}])
        assert plans.add_outcomes(connection, "p1", [first]) == [first]
        assert plans.add_outcomes(connection, "p1", [first, second, second]) == [second]
        assert plans.known_plans(connection, ["p1", "p2"]) == {"p1"}
    with database.read() as connection:
        assert plans.outcomes_of(connection, ["p1"]) == {"p1": [second, first]}
    with pytest.raises(IntegrityError), database.write() as connection:
        plans.add_outcomes(connection, "unknown", [outcome()])


def test_a_graph_comes_back_whole(database: Database) -> None:
    operator = Operator(
        "Conv", ((1, 3, 8, 8), ()), ((1, 0),), "float16", {"group": 1, "pads": [0, 1], "mode": "x"}
    )
    graph = ModelGraph(
        name="m",
        digest="sha256:1",
        nodes=(Node("c", operator, ("x", "w"), ("y",)),),
        inputs=("x",),
        outputs=("y",),
        tensors={"x": Tensor("x", (1, 3, 8, 8), "float16"), "w": Tensor("w", (), "float16", constant=True)},
    )
    with database.write() as connection:
        models.put_graph(connection, graph, b"onnx")
        models.put_graph(connection, graph, b"onnx")
    with database.read() as connection:
        assert models.get_graph(connection, "sha256:1") == graph
        assert models.get_graph(connection, "sha256:2") is None
        assert models.list_graphs(connection) == [("sha256:1", "m")]
