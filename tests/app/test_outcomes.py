"""`POST /v1/plans/{plan_id}/outcomes` as the contract says, on both databases."""

import json
import uuid
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.observability import INGEST_ROWS
from app.schemas.published import schemas
from app.services import keys
from app.services.keys import Role
from app.store import plans
from app.store.engine import Database
from tests.conftest import AppFactory

URL = "/v1/plans/p1/outcomes"
SCHEMA = jsonschema.Draft202012Validator(json.loads(schemas()["plan-outcomes.v1.json"]))


def outcome(**fields: Any) -> dict[str, Any]:
    """Return a valid outcome of plan `p1`; keyword arguments replace fields."""
    return {
        "outcome_id": str(uuid.uuid4()),
        "started_at": "2026-11-21T07:00:00Z",
        "context": {"cpu_utilization": 0.5, "charging": True},
        "latency_us": 41200.0,
        "propensity": 0.98,
        "alternatives": ["p2"],
        "stages": [
            {"id": 0, "processor": "gpu", "start_us": 0.0, "end_us": 2210.0, "waited_us": 35.0},
            {"id": 1, "processor": "cpu", "start_us": 2230.0, "end_us": 4000.0},
        ],
    } | fields


@pytest.fixture(autouse=True)
def handed_out(database: Database) -> None:
    """Two plans of two stages that were handed out to `mi9`."""
    stages = [{"id": 0, "processor": "gpu"}, {"id": 1, "processor": "cpu"}]
    with database.write() as connection:
        made = [{"plan_id": name, "strategy": "chain", "stages": stages} for name in ("p1", "p2")]
        plans.put_plans(connection, {"models": [{"digest": "sha256:1"}]}, "mi9", made)


def stored(database: Database) -> list[plans.Outcome]:
    with database.read() as connection:
        return plans.outcomes_of(connection, ["p1"]).get("p1", [])


def test_an_outcome_is_stored_whole_and_once(client: TestClient, database: Database) -> None:
    sent = {"outcomes": [outcome(), outcome(condition="s1", episode="e1", chosen_by=["offline"], stages=[])]}
    SCHEMA.validate(sent)
    answer = client.post(URL, json=sent)
    assert answer.status_code == 200
    assert answer.json() == {
        "plan_id": "p1",
        "accepted": {"outcomes": 2, "stages": 2},
        "duplicates": {"outcomes": 0},
        "rejected": [],
        "clamped": 0,
    }
    counted = INGEST_ROWS.labels("outcome", "duplicate")._value.get()
    again = client.post(URL, json=sent).json()
    assert INGEST_ROWS.labels("outcome", "duplicate")._value.get() == counted + 2
    assert (again["accepted"]["outcomes"], again["duplicates"]["outcomes"]) == (0, 2)
    first, second = sorted(stored(database), key=lambda item: item.episode or "")
    assert str(first.outcome_id) == sent["outcomes"][0]["outcome_id"]
    assert (first.latency_us, first.propensity, first.alternatives) == (41200.0, 0.98, ["p2"])
    assert (first.device_id, first.context) == ("mi9", {"cpu_utilization": 0.5, "charging": True})
    assert first.stages[0]["waited_us"] == 35.0
    assert (second.condition, second.episode, second.chosen_by) == ("s1", "e1", ["offline"])


def test_faulty_outcomes_are_rejected_alone(client: TestClient, database: Database) -> None:
    stage = {"id": 0, "processor": "gpu", "start_us": 10.0, "end_us": 20.0}
    faults = {
        "/outcomes/0/propensity": outcome(propensity=0.0),
        "/outcomes/1/propensity": outcome(propensity=1.01),
        "/outcomes/2/latency_us": outcome(latency_us=-1.0),
        "/outcomes/3/outcome_id": outcome(outcome_id="once"),
        "/outcomes/4/started_at": outcome(started_at="yesterday"),
        "/outcomes/5/alternatives/1": outcome(alternatives=["p2", "p3"]),
        "/outcomes/6/stages/0/id": outcome(stages=[stage | {"id": 2}]),
        "/outcomes/7/stages/0/processor": outcome(stages=[stage | {"processor": "cpu"}]),
        "/outcomes/8/stages/0/end_us": outcome(stages=[stage | {"end_us": 9.0}]),
        "/outcomes/9/stages/1/id": outcome(stages=[stage, stage]),
        "/outcomes/10/stages/0/waited_us": outcome(stages=[stage | {"waited_us": -1.0}]),
        "/outcomes/11/context": outcome(context={"temperature_c": "hot"}),
        "/outcomes/12": "nonsense",
    }
    answer = client.post(URL, json={"outcomes": [*faults.values(), outcome()]}).json()
    assert answer["accepted"]["outcomes"] == 1
    assert {fault["pointer"].replace("/...", "") for fault in answer["rejected"]} == set(faults)
    assert all(fault["detail"] for fault in answer["rejected"])
    assert len(stored(database)) == 1


def test_nan_rejects_the_outcome_that_holds_it(client: TestClient) -> None:
    faulty = [outcome(latency_us=float("nan")), outcome(propensity=float("nan")), outcome()]
    answer = client.post(URL, content=json.dumps({"outcomes": faulty})).json()
    assert answer["accepted"]["outcomes"] == 1
    assert [fault["pointer"] for fault in answer["rejected"]] == [
        "/outcomes/0/latency_us",
        "/outcomes/1/propensity",
    ]


def test_only_what_was_measured_is_needed(client: TestClient) -> None:
    bare = {"outcome_id": str(uuid.uuid4()), "started_at": "2026-11-21T07:00:00Z", "latency_us": 0.0}
    answer = client.post(URL, json={"outcomes": [bare, bare, outcome(context={"cpu_pressure": 3.0})]}).json()
    assert answer["accepted"] == {"outcomes": 2, "stages": 2}
    assert answer["duplicates"] == {"outcomes": 1}
    assert answer["clamped"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [("{broken", 400), ("[]", 422), ('{"outcomes": 1}', 422), ("{}", 422), ('{"outcomes": []}', 200)],
)
def test_bodies_that_are_faulty_as_a_whole(client: TestClient, body: str, status: int) -> None:
    assert client.post(URL, content=body).status_code == status


def test_a_plan_that_was_never_handed_out(client: TestClient) -> None:
    answer = client.post("/v1/plans/nope/outcomes", json={"outcomes": [outcome()]})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_database_that_fails_takes_nothing(client: TestClient, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE outcome RENAME TO away"))
    try:
        answer = client.post(URL, json={"outcomes": [outcome()]})
    finally:
        with database.write() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO outcome"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert stored(database) == []


@pytest.mark.parametrize("role", list(Role))
def test_roles(serve: AppFactory, database: Database, role: Role) -> None:
    key = keys.create(database, role)
    answer = serve(open=False).post(
        URL, json={"outcomes": [outcome()]}, headers={"authorization": f"Bearer {key.text}"}
    )
    assert answer.status_code == (403 if role is Role.ANALYST else 200)


def test_a_bound_key_speaks_for_its_device(serve: AppFactory, database: Database) -> None:
    key = keys.create(database, Role.AGENT, "mi10")
    headers = {"authorization": f"Bearer {key.text}"}
    guarded = serve(open=False)
    assert guarded.post(URL, json={"outcomes": [outcome()]}, headers=headers).status_code == 200
    assert stored(database)[0].device_id == "mi10"
    other = guarded.post(URL, json={"outcomes": [outcome(device_id="mi9")]}, headers=headers)
    assert other.status_code == 403
