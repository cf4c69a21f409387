"""What executed plans and reported runs teach is in the very next plan, and survives a restart."""

import uuid
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.planning.costs import default_dispatch_us, default_transfer
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.app.test_plans import OTHER, ask
from tests.conftest import AppFactory
from tests.onnx_models import light
from tests.snapshots import Snapshots

SIDES = {phone.PROCESSOR, OTHER}
DEFAULT = default_transfer("cpu", "cpu")


@pytest.fixture
def digest(client: TestClient, database: Database, snapshots: Snapshots) -> str:
    """An uploaded model with branches, on a phone of two processors that were learned from."""

    def fill() -> str:
        for processor in sorted(SIDES):
            send(client, phone.session(calm_runs=90, loaded_runs=0, processor=processor))
        learn_all(database)
        return str(client.post("/v1/models", content=light("squeezenet")).json()["digest"])

    return snapshots.fill(database, "two_calm_processors", fill)


def split_plan(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a plan with stages on both sides that read from each other."""
    return next(
        plan
        for plan in answer["plans"]
        if not plan["requires_retraining"]
        and sum(bool(stage["reads"]) for stage in plan["stages"]) >= 4
        and {stage["processor"] for stage in plan["stages"]} == SIDES
    )


def execute(
    plan: dict[str, Any], *, hand_over_us: float, factor: float, dispatch_us: float, beside: float = 0.0
) -> dict[str, Any]:
    """Return the outcome of a plan on a machine with these true costs."""
    ended: dict[int, float] = {}
    last: dict[str, float] = {}
    stages = []
    for stage in sorted(plan["stages"], key=lambda stage: stage["start_us"]):
        idle_from = last.get(stage["processor"], 0.0)
        others = [ended[place] for place in stage["after"] if place in ended]
        waits = [end for end in others if end > idle_from and stage["reads"]]
        start = max(waits) + hand_over_us if waits else idle_from
        overlapped = any(
            other["processor"] != stage["processor"] and other["end_us"] > start for other in stages
        )
        length = dispatch_us + stage["compute_us"] * factor * (1 + beside * overlapped)
        ended[stage["id"]] = last[stage["processor"]] = start + length
        stages.append(
            {
                "id": stage["id"],
                "processor": stage["processor"],
                "start_us": start,
                "end_us": start + length,
                "waited_us": start - idle_from,
            }
        )
    return {
        "outcome_id": str(uuid.uuid4()),
        "started_at": "2099-01-01T00:00:00Z",
        "latency_us": max(ended.values()),
        "stages": stages,
    }


def report(client: TestClient, plan: dict[str, Any], outcomes: list[dict[str, Any]]) -> None:
    answer = client.post(f"/v1/plans/{plan['plan_id']}/outcomes", json={"outcomes": outcomes})
    assert answer.status_code == 200
    assert answer.json()["rejected"] == []


def transfer_of(answer: dict[str, Any], source: str, target: str) -> dict[str, Any]:
    return next(item for item in answer["transfers"] if (item["source"], item["target"]) == (source, target))


def test_executed_stages_are_in_the_next_plan_and_survive_a_restart(
    client: TestClient, serve: AppFactory, digest: str, database: Database
) -> None:
    before = ask(client, digest)
    assert {item["basis"] for item in before["transfers"]} == {"default"}
    assert {stages["n"] for stages in before["stage_costs"].values()} == {0}
    plan = split_plan(before)
    made = [execute(plan, hand_over_us=300.0 + index, factor=1.5, dispatch_us=60.0) for index in range(12)]
    report(client, plan, made)
    for single in (item for item in before["plans"] if item["strategy"] == "mace"):
        alone = execute(single, hand_over_us=300.0, factor=1.5, dispatch_us=60.0)
        report(client, single, [alone | {"outcome_id": str(uuid.uuid4())} for _ in range(12)])
    after = ask(client, digest)
    moved = [transfer_of(after, *pair) for pair in ((phone.PROCESSOR, OTHER), (OTHER, phone.PROCESSOR))]
    learned = [item for item in moved if item["basis"] == "learned"]
    assert learned
    for item in learned:
        assert item["n"] >= 12
        assert item["latency_us"] == pytest.approx(306, rel=0.2)
    for stages in after["stage_costs"].values():
        assert stages["n"] > 0
        assert stages["factor"] == pytest.approx(1.5, rel=0.15)
        assert stages["dispatch_us"] > 2 * default_dispatch_us("cpu")
    same = next((item for item in after["plans"] if item["plan_id"] == plan["plan_id"]), None)
    if same is not None:
        assert same["latency_us"]["mean"] == pytest.approx(made[0]["latency_us"], rel=0.2)
    assert after["plans"][0]["latency_us"]["mean"] > before["plans"][0]["latency_us"]["mean"]
    assert after["plans"][0]["offline_latency_us"] < after["plans"][0]["latency_us"]["mean"]
    restarted = ask(serve(), digest)
    assert restarted["transfers"] == after["transfers"]
    assert restarted["stage_costs"] == after["stage_costs"]
    assert restarted["plans"] == after["plans"]
    # What is learned of plans that knew it already is the same again, not the square of it.
    again = split_plan(after)
    report(
        client,
        again,
        [
            execute(again, hand_over_us=300.0, factor=1.5 / stages["factor"], dispatch_us=60.0)
            for _ in range(12)
        ],
    )
    for name, stages in ask(client, digest)["stage_costs"].items():
        assert stages["factor"] == pytest.approx(after["stage_costs"][name]["factor"], rel=0.15)


def test_posted_transfers_are_learned_for_their_soc(client: TestClient, digest: str) -> None:
    sizes = np.geomspace(1e3, 1e7, 40)
    copies = [
        {
            "transfer_id": str(uuid.uuid4()),
            "started_at": "2026-11-21T08:00:00Z",
            "source": phone.PROCESSOR,
            "target": OTHER,
            "size_bytes": int(size),
            "latency_us": 150.0 + size / 1000,
        }
        for size in sizes
    ]
    device = {"device_id": "another", "soc": "SoC 1"}
    client.post("/v1/measurements", json={"batch_id": "b", "device": device, "transfers": copies})
    answer = ask(client, digest)
    there, back = transfer_of(answer, phone.PROCESSOR, OTHER), transfer_of(answer, OTHER, phone.PROCESSOR)
    assert (there["basis"], there["n"]) == ("learned", 40)
    assert there["latency_us"] == pytest.approx(150.0, rel=0.1)
    assert there["us_per_byte"] == pytest.approx(1e-3, rel=0.1)
    assert back["basis"] == "alike"
    assert back["latency_us"] == pytest.approx(there["latency_us"], rel=0.2)


def test_a_device_that_is_set_aside_teaches_nothing(
    client: TestClient, digest: str, database: Database
) -> None:
    plan = split_plan(ask(client, digest))
    with database.write() as connection:
        connection.execute(text("UPDATE device SET quarantined = true"))
    report(client, plan, [execute(plan, hand_over_us=900.0, factor=2.0, dispatch_us=500.0)] * 3)
    assert {item["basis"] for item in ask(client, digest)["transfers"]} == {"default"}


def test_operators_that_ran_elsewhere_are_not_supported(client: TestClient, digest: str) -> None:
    def told(places: list[str]) -> None:
        (sent,) = phone.session(calm_runs=1, loaded_runs=0, processor=OTHER, now=True)
        run = sent["runs"][0]
        run["run_id"] = str(uuid.uuid4())
        run["ran_on"] = places[: len(run["operators"])]
        assert client.post("/v1/measurements", json=sent).json()["accepted"]["runs"] == 1

    assert ask(client, digest)["support"][OTHER] == {"unsupported": [], "basis": "declared", "learned": {}}
    for _ in range(2):
        told([phone.PROCESSOR] * 9)
    answer = ask(client, digest)
    fell_back = answer["support"][OTHER]["learned"]
    assert set(fell_back) == {"Conv"}
    assert fell_back["Conv"] >= 4
    everywhere = {stage["processor"] for plan in answer["plans"] for stage in plan["stages"]}
    assert phone.PROCESSOR in everywhere
    requested = ask(client, digest, support={OTHER: {"unsupported": ["Concat"]}})
    assert requested["support"][OTHER] == {"unsupported": ["Concat"], "basis": "request", "learned": {}}
    for _ in range(4):
        told(["cpu"] * 9)  # the kind of this processor is itself
    assert ask(client, digest)["support"][OTHER]["learned"] == {}
