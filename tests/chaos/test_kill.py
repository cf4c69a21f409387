"""`kill -9` at random moments under load: what was acknowledged is there, exactly once."""

import random
import threading
import urllib.request
import uuid

import pytest
from sqlalchemy import text

from app.services import upkeep
from app.store.engine import Database
from tests.load import OPERATORS, RUNS, ServerDiedError, saturate, start_server, then_start
from tests.processes import LIMIT_S

LEAST_ANSWERED = 6
"""Batches that a server has answered before it is killed, so that every round is one under load."""


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--rounds"))


def stored_timings(database: Database) -> dict[uuid.UUID, int]:
    """Return how many timings each run has; a run stored twice would have twice as many."""
    statement = (
        "SELECT run_uuid, sum(n) FROM (SELECT run_id, count(*) AS n FROM timing GROUP BY run_id) AS counted"
        " JOIN run ON run.id = run_id GROUP BY run_uuid"
    )
    with database.read() as connection:
        rows = connection.execute(text(statement)).all()
    return {key if isinstance(key, uuid.UUID) else uuid.UUID(bytes=key): int(count) for key, count in rows}


def post(port: int, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/measurements", body, headers)
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        assert answer.status == 200


def test_no_acknowledged_run_is_lost_or_doubled(database: Database, database_url: str, rounds: int) -> None:
    rng = random.Random(20_261_121)
    unanswered: list[tuple[bytes, list[str]]] = []
    answered: list[str] = []
    for _ in range(rounds):
        server = start_server(database_url)
        try:
            # What an agent does after a crash: send again whatever was not answered.
            for body, ids in unanswered:
                post(server.port, body)
                answered += ids
            killer = threading.Timer(rng.uniform(0.0, 0.6), server.process.kill)
            note = then_start(killer, answered, LEAST_ANSWERED * RUNS)
            with pytest.raises(ServerDiedError) as died:
                saturate(server.port, seconds=LIMIT_S, on_accepted=note)
            killer.join()
        finally:
            server.process.kill()
            server.process.wait(LIMIT_S)
        unanswered = died.value.pending
    assert len(answered) > 100 * rounds
    stored = stored_timings(database)
    assert set(stored.values()) == {OPERATORS}
    assert {uuid.UUID(run_id) for run_id in answered} <= stored.keys()
    upkeep.check(database)
