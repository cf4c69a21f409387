"""The server as a process: starts with a message, drains on SIGTERM, survives whatever a socket brings."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import build
from app.errors import SocastError
from app.services import upkeep
from app.store.engine import Database
from tests.batches import batch
from tests.load import (
    OPERATORS,
    ServerDiedError,
    ServerProcess,
    saturate,
    server,
    start_server,
    then_start,
)
from tests.processes import LIMIT_S


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    path = tmp_path_factory.mktemp("server") / "socast.db"
    with server(f"sqlite:///{path}", environment={"SOCAST_BODY_TIMEOUT_S": "0.5"}) as started:
        yield started


def exchange(port: int, *parts: bytes, close: bool = False) -> bytes:
    """Send parts over one connection and return what comes until the other side closes it.

    The server waits half a second for a body, so what has to arrive in time goes in one part with its head.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        received = b""
        # The server may hang up before it was sent everything.
        with suppress(ConnectionError, BrokenPipeError):
            for part in parts:
                connection.sendall(part)
        with suppress(OSError):
            if close:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        return received


def head(length: int | str, *more: str) -> bytes:
    lines = ["POST /v1/measurements HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "Connection: close", *more, "", ""]).encode()


BODY = json.dumps(batch()).encode()


def test_a_length_that_promises_too_much(running: ServerProcess) -> None:
    answer = exchange(running.port, head(len(BODY) + 100) + BODY, close=True)
    assert b"200 OK" not in answer
    assert b"500" not in answer.split(b"\r\n")[0]


def test_a_length_that_promises_too_little(running: ServerProcess) -> None:
    answer = exchange(running.port, head(len(BODY) - 10) + BODY)
    assert answer.split()[1] == b"400"


@pytest.mark.parametrize("length", ["-5", "many", "99999999999999999999999"])
def test_a_length_that_is_none(running: ServerProcess, length: str) -> None:
    answer = exchange(running.port, head(length), close=True)
    assert answer.split()[1] in (b"400", b"413")


def test_a_body_that_never_comes(running: ServerProcess) -> None:
    answer = exchange(running.port, head(1000), b'{"batch_id":')
    assert answer.split()[1] == b"408"
    assert b"application/problem+json" in answer


def test_what_is_no_http(running: ServerProcess) -> None:
    assert exchange(running.port, b"\x16\x03\x01\x02\x00 hello\r\n\r\n", close=True).split()[1] == b"400"
    assert exchange(running.port, head(len(BODY)) + BODY).split()[1] == b"200"


def test_sigterm_under_load_answers_what_it_took(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'socast.db'}"
    started = start_server(url)
    answered: list[str] = []
    stopper = threading.Timer(0.3, started.process.send_signal, [signal.SIGTERM])
    try:
        with pytest.raises(ServerDiedError):
            saturate(started.port, seconds=LIMIT_S, on_accepted=then_start(stopper, answered, 1))
        assert started.process.wait(LIMIT_S) == 0
    finally:
        started.process.kill()
    database = Database(url)
    with database.read() as connection:
        stored = connection.scalar(text("SELECT count(*) FROM run"))
        timings = connection.scalar(text("SELECT count(*) FROM timing"))
    # Whatever was stored was also answered, but for what the closing socket cut off.
    assert len(answered) <= (stored or 0) <= len(answered) + 8 * 20
    assert timings == OPERATORS * (stored or 0)
    upkeep.check(database)
    database.dispose()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--open", "--host=0.0.0.0"], "loopback"),
        (["--database=mysql://host/name"], "sqlite:///FILE"),
        (["--database=sqlite:////proc/nowhere/socast.db"], "Cannot make the folder"),
        (["--database=postgresql://127.0.0.1:1/none"], "Cannot open postgresql"),
        (["--host=203.0.113.1"], "Cannot listen on 203.0.113.1"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(build(), ["serve", "--no-learner", "--port=0", *arguments])
    assert isinstance(done.exception, SocastError)
    assert message in str(done.exception)
