"""What was foreseen before an execution, draws, and counts of where operators ran."""

import pytest
from sqlalchemy import update

from app.store import draws, forecasts, plans, retention, support
from app.store.batch import elsewhere
from app.store.draws import Draw
from app.store.engine import Database
from app.store.support import MOST_COUNTED, Support, Told
from app.store.tables import forecast
from predictors.graph import Operator
from predictors.run import PredictorKey

KEY = PredictorKey("SoC 1", "gpu", "mnn")


@pytest.fixture(autouse=True)
def handed_out(database: Database) -> None:
    with database.write() as connection:
        plans.put_plans(connection, {}, "mi9", [{"plan_id": "p1"}, {"plan_id": "p2"}])


def put_at(database: Database, device_id: str | None, time_us: int, mean_us: float) -> None:
    with database.write() as connection:
        forecasts.put(connection, device_id, {"p1": {"mean_us": mean_us}})
        newest = forecast.c.answered_at_us > 10**12
        connection.execute(update(forecast).where(newest).values(answered_at_us=time_us))


def test_the_last_forecast_before_an_execution_counts(database: Database) -> None:
    for device_id, time_us, mean_us in (("mi9", 100, 1.0), ("mi9", 200, 2.0), (None, 300, 3.0)):
        put_at(database, device_id, time_us, mean_us)
    with database.read() as connection:

        def mean_us(time_us: int, device_id: str) -> float:
            found = forecasts.before(connection, ["p1", "p2"], device_id, time_us)
            assert set(found) == {"p1"}
            return float(found["p1"]["mean_us"])

        assert [mean_us(time_us, "mi9") for time_us in (150, 200, 250, 350)] == [1.0, 2.0, 2.0, 3.0]
        assert mean_us(50, "mi9") == 1.0  # a clock that runs late
        assert mean_us(50, "other") == 3.0  # asked for its SoC
        assert forecasts.before(connection, ["p2"], "mi9", 999) == {}
    retention.prune(database, 250)
    with database.read() as connection:
        assert forecasts.before(connection, ["p1"], "mi9", 250)["p1"]["mean_us"] == 3.0


def test_a_seed_may_draw_again(database: Database) -> None:
    first = Draw("seed", "p1", "mi9", 0.02, explored=False, propensity=0.99, alternatives=("p1", "p2"))
    second = Draw("seed", "p1", "mi9", 0.5, explored=True, propensity=0.75, alternatives=("p1",))
    with database.write() as connection:
        draws.put(connection, first)
        draws.put(connection, second)
        assert draws.get(connection, "seed", "p1") == second
        assert draws.get(connection, "seed", "p2") is None


def told(places: list[str], op_type: str = "Conv") -> Told:
    return Told(KEY, [Operator(op_type)] * len(places), elsewhere(enumerate(places), "gpu-0", "gpu"))


def test_where_operators_ran_is_counted_and_old_counts_fade(database: Database) -> None:
    with database.write() as connection:
        support.add(connection, [])
        support.add(connection, [told(["gpu-0", "gpu", "cpu"]), told(["cpu"], "Softmax")])
        support.add(connection, [told(["cpu"])])
        found = support.of_soc(connection, "SoC 1")
        assert found == {("gpu", "mnn"): {"Conv": Support(4, 2), "Softmax": Support(1, 1)}}
        assert support.of_soc(connection, "SoC 2") == {}
        support.add(connection, [told(["gpu"] * MOST_COUNTED)])
        faded = support.of_soc(connection, "SoC 1")["gpu", "mnn"]["Conv"]
        assert faded == Support((MOST_COUNTED + 4) // 2, 1)
