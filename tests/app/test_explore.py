"""Exploring: a recorded draw that anybody can repeat, with the chance that it claims."""

import uuid
from collections import Counter
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from app.planning.planner import plan
from app.planning.problem import ModelRequest
from app.planning.request import PlanningRequest
from app.services.explore import Exploring, choose
from app.store import draws
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.app.test_plans import ask
from tests.onnx_models import light
from tests.planning_cases import CPU, GPU, HashedCosts, graph_of

RANKED = plan(
    PlanningRequest([ModelRequest(graph_of([[], [0], [0], [1, 2]], ["Conv"] * 4))], [CPU, GPU], HashedCosts())
).plans
KEPT = [item.plan_id for item in RANKED if not item.requires_retraining]


def test_without_asking_the_best_plan_is_chosen() -> None:
    choice = choose(RANKED, None)
    assert choice is not None
    assert (choice.plan_id, choice.propensity, choice.explored) == (KEPT[0], 1.0, False)
    assert choice.alternatives == tuple(KEPT)
    assert choose([], None) is None
    assert choose([replace(RANKED[0], requires_retraining=True)], Exploring(1.0)) is None


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 1.0), st.text(min_size=1))
def test_a_seed_draws_the_same_plan_with_a_chance_that_adds_up(share: float, seed: str) -> None:
    choice = choose(RANKED, Exploring(share, seed))
    assert choice == choose(RANKED, Exploring(share, seed))
    assert choice is not None
    assert choice.plan_id in KEPT
    other = share / len(KEPT)
    assert choice.propensity == pytest.approx(other + (1 - share if choice.plan_id == KEPT[0] else 0.0))
    assert choice.propensity > 0


def test_plans_are_drawn_as_often_as_their_propensity_says() -> None:
    made = [choose(RANKED, Exploring(0.5, f"request {number}")) for number in range(4000)]
    counts = Counter(item.plan_id for item in made if item is not None)
    chance = {item.plan_id: item.propensity for item in made if item is not None}
    assert set(counts) == set(KEPT)
    assert sum(chance.values()) == pytest.approx(1.0)
    for name, count in counts.items():
        assert count / 4000 == pytest.approx(chance[name], abs=0.03)


def test_without_a_seed_every_draw_is_another() -> None:
    made = [choose(RANKED, Exploring(0.5)) for _ in range(100)]
    assert len({item.seed for item in made if item is not None}) == 100


def test_a_draw_is_recorded_and_an_outcome_may_refer_to_it(client: TestClient, database: Database) -> None:
    send(client, phone.session(calm_runs=90, loaded_runs=0))
    learn_all(database)
    digest = str(client.post("/v1/models", content=light("squeezenet")).json()["digest"])
    best = ask(client, digest)
    assert best["chosen"]["plan_id"] == best["plans"][0]["plan_id"]
    assert best["chosen"]["propensity"] == 1.0
    one = ask(client, digest, explore={"share": 0.5, "seed": "request-1"})
    again = ask(client, digest, explore={"share": 0.5, "seed": "request-1"})
    assert one["chosen"] == again["chosen"]
    assert one["plans"] == best["plans"]
    assert ask(client, digest, explore={})["chosen"]["share"] == 0.02
    chosen = one["chosen"]
    with database.read() as connection:
        drawn = draws.get(connection, "request-1", chosen["plan_id"])
    assert drawn is not None
    assert (drawn.propensity, list(drawn.alternatives)) == (chosen["propensity"], chosen["alternatives"])
    bare = {"started_at": "2099-01-01T00:00:00Z", "latency_us": 4e4, "draw": "request-1"}
    sent = [
        bare | {"outcome_id": str(uuid.uuid4())},
        bare | {"outcome_id": str(uuid.uuid4()), "propensity": chosen["propensity"] / 2},
        bare | {"outcome_id": str(uuid.uuid4()), "draw": "request-2"},
    ]
    answer = client.post(f"/v1/plans/{chosen['plan_id']}/outcomes", json={"outcomes": sent}).json()
    assert answer["accepted"]["outcomes"] == 1
    pointers = {fault["pointer"] for fault in answer["rejected"]}
    assert pointers == {"/outcomes/1/propensity", "/outcomes/2/draw"}
    report = client.get("/v1/reports/regret", params={"group_by": "predictor,model"}).json()
    assert report["executions"] == 1
    for seed in ("", "x" * 201):
        refused = client.post(
            "/v1/plan",
            json={
                "models": [{"digest": digest}],
                "device_id": phone.DEVICE_ID,
                "explore": {"share": 0.1, "seed": seed},
            },
        )
        assert refused.status_code == 422
