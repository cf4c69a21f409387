"""The agent against the real service: what it sends follows the contract, and nothing is lost or doubled."""

import json
import os
import threading
from pathlib import Path

import jsonschema
import msgspec
from sqlalchemy import text

from app.schemas.measurements import MeasurementBatch
from app.store.engine import Database
from collectors.agent import AgentOptions, Event
from collectors.client import Client
from collectors.spool import Spool
from collectors.uploader import Uploader
from tests.load import start_server
from tests.loopback import Answer, loopback
from tests.processes import LIMIT_S
from tests.sessions import until

CORES = sorted(os.sched_getaffinity(0))


def options(server: str, models: Path, tmp_path: Path) -> AgentOptions:
    return AgentOptions(
        server=server,
        spool=tmp_path / "spool.sqlite",
        models=str(models),
        conditions=("s0", "s2"),
        device_id="test-device",
        seed=3,
    )


def test_all_that_the_agent_sends_follows_the_published_schema(models: Path, tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(msgspec.json.schema(MeasurementBatch))
    with loopback() as server:

        def enough(_: Event) -> bool:
            seen = {run["condition"] for batch in server.batches for run in batch["runs"]}
            handed_over = any(batch["transfers"] for batch in server.batches)
            return seen == {"s0", "s2"} and (handed_over or len(CORES) == 1)

        until(enough, options(server.url, models, tmp_path))
        assert server.batches
        for batch in server.batches:
            assert [error.message for error in validator.iter_errors(batch)] == []
        if len(CORES) > 1:
            transfers = [transfer for batch in server.batches for transfer in batch["transfers"]]
            assert {(t["source"], t["target"]) for t in transfers} <= {
                (f"cpu:{source}", f"cpu:{target}") for source in CORES for target in CORES
            }
            assert transfers


def test_the_service_takes_every_run_once_and_rejects_none(
    models: Path, tmp_path: Path, sqlite_url: str
) -> None:
    server = start_server(sqlite_url)
    try:
        given = options(f"http://127.0.0.1:{server.port}", models, tmp_path)
        counts = until(lambda event: event["runs"] > 100, given)
        with Client(f"http://127.0.0.1:{server.port}") as client:
            (device,) = client.devices()["items"]
    finally:
        server.process.terminate()
        server.process.wait(LIMIT_S)
    assert counts["rejected"] == counts["dropped"] == counts["pending"] == 0
    assert device["device_id"] == "test-device"
    assert device["runs"] == counts["runs"]
    assert device["timings"] == counts["timings"]


def test_a_server_killed_under_the_upload_gets_everything_exactly_once(
    models: Path, tmp_path: Path, sqlite_url: str
) -> None:
    with loopback() as nobody:
        nobody.answer = lambda _: Answer(503)
        until(lambda event: event["runs"] > 100, options(nobody.url, models, tmp_path), drain_s=0.2)
    spool = Spool(tmp_path / "spool.sqlite")
    ids = {json.loads(record.body).get("run_id") for record in spool.oldest(10**6, 10**12)} - {None}
    assert ids
    server = start_server(sqlite_url)
    with Client(f"http://127.0.0.1:{server.port}") as client:
        uploader = Uploader(spool, client)
        uploader._batch_records = 10
        uploader.step()
        killer = threading.Timer(0.05, server.process.kill)
        killer.start()
        while server.process.poll() is None:
            uploader.step()
    server = start_server(sqlite_url)
    try:
        with Client(f"http://127.0.0.1:{server.port}") as client:
            uploader = Uploader(spool, client)
            while spool.pending():
                assert uploader.step() < 60
    finally:
        server.process.terminate()
        server.process.wait(LIMIT_S)
    database = Database(sqlite_url)
    with database.read() as connection:
        stored = connection.execute(text("SELECT count(*) FROM run")).scalar_one()
    database.dispose()
    assert stored == len(ids)
    assert spool.dead_letters() == []
