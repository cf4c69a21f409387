"""`/v1/reports/regret` over logged executions with a known truth, on both databases."""

import io
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.schemas.regret import RegretReportOut
from app.services import keys
from app.services.keys import Role
from app.store import plans
from app.store.engine import Database
from app.store.plans import Outcome
from tests.conftest import AppFactory

TRUE_US = {"p-joint": 1000.0, "p-codl": 1200.0, "p-mace": 1500.0}
RUNTIME_US = {"p-joint": 950.0, "p-codl": 1210.0, "p-mace": 1480.0}
OFFLINE_US = {"p-joint": 900.0, "p-codl": 700.0, "p-mace": 850.0}


def forecast(plan_id: str) -> dict[str, Any]:
    mean = RUNTIME_US[plan_id]
    return {
        "strategy": plan_id.removeprefix("p-"),
        "requires_retraining": False,
        "mean_us": mean,
        "p50_us": mean,
        "p90_us": mean * 1.15,
        "p99_us": mean * 1.3,
        "offline_us": OFFLINE_US[plan_id],
        "compute_us": {},
    }


def execution(plan_id: str, started_at_us: int, latency_us: float, **fields: Any) -> Outcome:
    made: dict[str, Any] = {
        "propensity": 1 / 3,
        "alternatives": sorted(TRUE_US),
        "device_id": "mi9",
        "chosen_by": ["context_frozen"] if plan_id == "p-mace" else [],
        "forecasts": {name: forecast(name) for name in TRUE_US},
    } | fields
    return Outcome(uuid.uuid4(), started_at_us, latency_us, context={}, stages=[], **made)


def store(database: Database, executions: Sequence[tuple[str, Outcome]]) -> None:
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO device (device_id, model, soc, os, drivers, first_seen_at_us, last_seen_at_us,"
                " run_count, timing_count, quarantined)"
                " VALUES ('mi9', '', 'SoC 1', '', '{}', 0, 0, 0, 0, false)"
            )
        )
        made = [{"plan_id": name, "stages": []} for name in TRUE_US]
        plans.put_plans(connection, {"models": [{"digest": "sha256:resnet"}]}, "mi9", made)
        for name in TRUE_US:
            plans.add_outcomes(connection, name, [item for plan, item in executions if plan == name])


def interleaved(episodes: int = 12, rounds: int = 8) -> list[tuple[str, Outcome]]:
    """Episodes in which three plans ran by turns; half of them under load, where all take twice as long."""
    generator = np.random.default_rng(0)
    found = []
    for episode in range(episodes):
        loaded = episode % 2
        for turn in range(rounds):
            for name, true_us in TRUE_US.items():
                latency = true_us * (1 + loaded) * float(generator.lognormal(0, 0.05))
                item = execution(
                    name,
                    (episode * 1000 + turn) * 1_000_000,
                    latency,
                    condition=f"s{loaded}",
                    episode=f"e{episode}",
                )
                found.append((name, item))
    return found


def groups(client: TestClient, **parameters: str) -> dict[tuple[str, ...], dict[str, Any]]:
    answer = client.get("/v1/reports/regret", params=parameters)
    assert answer.status_code == 200, answer.text
    report = RegretReportOut.model_validate(answer.json()).model_dump()
    return {tuple(group["group"].values()): group for group in report["groups"]}


def test_regret_by_predictor_strategy_and_condition(client: TestClient, database: Database) -> None:
    store(database, interleaved())
    by_predictor = groups(client, group_by="predictor")
    assert set(by_predictor) == {("runtime",), ("offline",), ("context_frozen",)}
    for name, truth in (("runtime", 0.0), ("offline", 0.2), ("context_frozen", 0.5)):
        regret = by_predictor[name,]["regret"]
        assert regret["mean"]["value"] == pytest.approx(truth, abs=0.03)
        assert regret["mean"]["low"] <= regret["mean"]["value"] <= regret["mean"]["high"]
        assert regret["p95"]["too_thin"]
        assert by_predictor[name,]["compared"] == 12
    assert by_predictor["runtime",]["best"]["value"] > 0.95
    assert by_predictor["context_frozen",]["mape"]["too_thin"]
    by_strategy = groups(client, group_by="strategy")
    for name, true_us in TRUE_US.items():
        truth = true_us / min(TRUE_US.values()) - 1
        assert by_strategy[name.removeprefix("p-"),]["regret"]["median"]["value"] == pytest.approx(
            truth, abs=0.04
        )
    calm, loaded = (groups(client, group_by="condition")[name,] for name in ("s0", "s1"))
    assert calm["mape"]["value"] < 0.08
    assert calm["bias"]["value"] == pytest.approx(-0.05, abs=0.02)
    assert loaded["bias"]["value"] < -0.4
    assert calm["coverage"]["p99"]["value"] == 1.0
    assert loaded["coverage"]["p99"]["value"] == 0.0
    assert calm["n"] == 6 * 8
    assert calm["winners_curse"]["value"] == pytest.approx(0.03, abs=0.02)
    assert calm["exploring"]["executions"] == 6 * 16
    assert calm["exploring"]["cost"]["value"] == pytest.approx((1000 + 1200 + 1500) / 3000 - 1, abs=0.03)
    everything = groups(client, group_by="soc,model,device")
    assert set(everything) == {("SoC 1", "sha256:resnet", "mi9")}


def test_logged_exploration_answers_for_other_strategies(client: TestClient, database: Database) -> None:
    generator = np.random.default_rng(1)
    share, names = 0.3, sorted(TRUE_US, key=RUNTIME_US.__getitem__)
    found = []
    for number in range(900):
        plan_id = names[int(generator.integers(3))] if generator.random() < share else names[0]
        chance = share / 3 + (1 - share if plan_id == names[0] else 0.0)
        latency = TRUE_US[plan_id] * float(generator.lognormal(0, 0.05))
        found.append((plan_id, execution(plan_id, number * 1_000_000, latency, propensity=chance)))
    store(database, found)
    for name, group in groups(client, group_by="strategy").items():
        answer = group["counterfactual"]
        truth = TRUE_US[f"p-{name[0]}"]
        assert answer["latency_us"]["value"] == pytest.approx(truth, rel=0.03)
        assert answer["latency_us"]["low"] < answer["latency_us"]["value"] < answer["latency_us"]["high"]
        assert answer["supported"] == 1.0
        assert 50 < answer["effective_n"] < 900
        assert answer["actual_us"] == pytest.approx(np.mean([item.latency_us for _, item in found]))
    offline = groups(client, group_by="predictor")["offline",]["counterfactual"]
    assert offline["latency_us"]["value"] == pytest.approx(TRUE_US["p-codl"], rel=0.03)


def test_ranges_filters_and_thin_groups(client: TestClient, database: Database) -> None:
    store(database, interleaved(episodes=2))
    everything = groups(client, group_by="")
    (group,) = everything.values()
    assert group["regret"]["mean"] == {"value": None, "low": None, "high": None, "n": 2, "too_thin": True}
    assert groups(client, since="1970-01-01T00:10:00Z", group_by="condition").keys() == {("s1",)}
    assert groups(client, until="1970-01-01T00:10:00Z", group_by="condition").keys() == {("s0",)}
    assert groups(client, device_id="other") == {}
    assert groups(client, soc="SoC 1").keys() == groups(client).keys()
    with database.write() as connection:
        connection.execute(text("UPDATE device SET quarantined = true"))
    assert groups(client) == {}


@pytest.mark.parametrize("parameters", [{"group_by": "luck"}, {"since": "yesterday"}, {"colour": "red"}])
def test_bad_questions(client: TestClient, parameters: dict[str, str]) -> None:
    answer = client.get("/v1/reports/regret", params=parameters)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_files_hold_one_line_a_group(client: TestClient, database: Database) -> None:
    empty = client.get("/v1/reports/regret", params={"format": "csv"})
    store(database, interleaved(episodes=6))
    read = {}
    for name in ("csv", "parquet"):
        answer = client.get("/v1/reports/regret", params={"format": name, "group_by": "strategy"})
        assert answer.status_code == 200
        reader = pd.read_csv if name == "csv" else pd.read_parquet
        read[name] = reader(io.BytesIO(answer.content))
    assert list(read["csv"].columns) == list(read["parquet"].columns)
    assert empty.text.strip().split(",")[2:] == list(read["csv"].columns)[1:]
    assert list(read["csv"]["strategy"]) == ["codl", "joint", "mace"]
    np.testing.assert_allclose(read["csv"]["regret_mean"], read["parquet"]["regret_mean"])
    assert read["csv"]["regret_p95"].isna().all()
    assert all("regret_p95" in named.split() for named in read["csv"]["too_thin"])


def test_analysts_only(serve: AppFactory, database: Database) -> None:
    guarded = serve(open=False)
    for role, status in ((Role.ANALYST, 200), (Role.SCHEDULER, 403)):
        headers = {"authorization": f"Bearer {keys.create(database, role).text}"}
        assert guarded.get("/v1/reports/regret", headers=headers).status_code == status
