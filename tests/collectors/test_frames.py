"""What the service knows arrives as tables: every page, right types, nothing lost."""

from collections.abc import Iterator

import pandas as pd
import pytest

from app.store.engine import Database
from collectors import frames
from collectors.client import Client
from collectors.frames import Frames
from tests import phone
from tests.app.test_learning import learn_all
from tests.load import server

ASKED = {"device_id": phone.DEVICE_ID, "processor": phone.PROCESSOR}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frames]:
    url = f"sqlite:///{tmp_path_factory.mktemp('frames') / 'socast.db'}"
    with server(url) as running, Client(f"http://127.0.0.1:{running.port}") as client:
        for batch in phone.session(calm_runs=60, loaded_runs=20):
            client.upload(phone.encoded(batch), encoding=None)
        database = Database(url)
        learn_all(database)
        database.dispose()
        yield Frames(client)


def test_devices_come_with_their_counts(tables: Frames) -> None:
    (device,) = tables.devices().to_dict("records")
    assert (device["device_id"], device["runs"]) == (phone.DEVICE_ID, 100)


def test_runs_come_page_by_page(tables: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "PAGE", 7)
    runs = tables.runs()
    assert runs["run_id"].nunique() == len(runs) == 100
    assert isinstance(runs["started_at"].dtype, pd.DatetimeTZDtype)
    assert runs["started_at"].is_monotonic_decreasing
    assert len(tables.runs(most=10, condition="s1")) == 10


def test_each_operator_of_a_run_is_a_row(tables: Frames) -> None:
    timings = tables.timings(condition="s1")
    runs = tables.runs(condition="s1")
    assert set(timings["run_id"]) == set(runs.loc[runs["profiled"], "run_id"])
    assert (timings["latency_us"] > 0).all()


def test_a_report_has_a_row_for_each_rung(tables: Frames) -> None:
    errors = tables.report("errors", group_by="condition")
    loaded = errors[(errors["condition"] == "s1") & (errors["level"] == "run")].set_index("rung")
    assert loaded.loc["runtime", "mape"] < loaded.loc["calm", "mape"]


def test_a_prediction_has_a_row_for_each_operator(tables: Frames) -> None:
    table = tables.prediction({**ASKED, "model": {"digest": phone.digest("large")}})
    assert list(table["op_type"]) == ["Conv"] * 4
    assert (table["runtime_us"] > 1.5 * table["offline_us"]).all()


def test_an_empty_answer_is_an_empty_table(tables: Frames) -> None:
    assert tables.runs(condition="none").empty
