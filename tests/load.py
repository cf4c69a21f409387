"""Load for benchmarks and chaos: a server process, and batches rendered and sent at next to no cost."""

import json
import os
import random
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import LIMIT_S

RUNS = 20
OPERATORS = 60


@dataclass(slots=True)
class ServerProcess:
    """A running `socast serve`."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def server(
    database_url: str, *options: str, environment: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Run `socast serve --open` on a free port until the block ends."""
    started = start_server(database_url, *options, environment=environment)
    try:
        yield started
    finally:
        started.process.terminate()
        try:
            started.process.wait(LIMIT_S)
        finally:
            started.process.kill()


def start_server(
    database_url: str,
    *options: str,
    port: int = 0,
    learner: bool = False,
    environment: dict[str, str] | None = None,
) -> ServerProcess:
    """Start `socast serve --open`, with or without a learner, and wait until it says where it listens."""
    command = [
        str(Path(sys.executable).with_name("socast")),
        "serve",
        "--open",
        *([] if learner else ["--no-learner"]),
        f"--port={port}",
    ]
    process = subprocess.Popen(
        [*command, f"--database={database_url}", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        found = re.search(r"serving on http://[^:]+:(\d+)", line)
        if found:
            # Nobody reads what it says later, and a full pipe would stop it.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return ServerProcess(process, int(found[1]))
    raise RuntimeError(f"the server did not start:\n{said}")


class Batches:
    """Bodies like those of an agent: 20 runs of 60 operators each, every context its own, fresh run ids."""

    def __init__(self, device_id: str, seed: int = 0) -> None:
        rng = random.Random(seed)
        self._rng = rng
        body = json.dumps(_batch(device_id, rng), separators=(",", ":")).encode()
        self._template = bytearray(body)
        self._places = [match.start() for match in re.finditer(rb"RUN-ID-{30}", body)]
        assert len(self._places) == RUNS

    def next(self) -> tuple[bytes, list[str]]:
        """Return a body and the ids of its runs."""
        digits = self._rng.randbytes(16 * RUNS).hex()
        ids = []
        for index, place in enumerate(self._places):
            d = digits[32 * index : 32 * index + 32]
            run_id = f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"
            self._template[place : place + 36] = run_id.encode()
            ids.append(run_id)
        return bytes(self._template), ids


def _batch(device_id: str, rng: random.Random) -> dict[str, Any]:
    channels = [8 * rng.randint(1, 64) for _ in range(OPERATORS)]
    operators = [
        {
            "op_type": "Conv",
            "inputs": [[1, c, 28, 28], [2 * c, c, 3, 3], [2 * c]],
            "outputs": [[1, 2 * c, 28, 28]],
            "dtype": "float32",
            "attributes": {"strides": [1, 1], "pads": [1, 1, 1, 1], "group": 1},
        }
        for c in channels
    ]
    return {
        "batch_id": "bench",
        "agent": {"name": "bench", "version": "1"},
        "device": {
            "device_id": device_id,
            "model": "bench",
            "soc": "bench",
            "os": "linux",
            "processors": [{"name": "cpu:0", "kind": "cpu", "threads": 1, "resources": ["cpu:0"]}],
        },
        "operators": operators,
        "runs": [_run(rng) for _ in range(RUNS)],
    }


def _run(rng: random.Random) -> dict[str, Any]:
    latencies = [round(rng.lognormvariate(5, 1.5), 1) for _ in range(OPERATORS)]
    return {
        "run_id": "RUN-ID" + "-" * 30,
        "started_at": "2026-11-21T07:00:00.123456Z",
        "processor": "cpu:0",
        "framework": "onnxruntime 1.31.1",
        "model": {"name": "resnet50", "digest": "sha256:" + "ab" * 32},
        "condition": "s1",
        "context": {
            "temperature_c": round(rng.uniform(30, 60), 1),
            "frequency_mhz": 1800,
            "processor_utilization": round(rng.random(), 4),
            "cpu_utilization": round(rng.random(), 4),
            "run_queue": rng.randint(0, 5),
            "cpu_pressure": round(rng.random(), 4),
            "memory_pressure": 0.0,
            "context_switches_per_s": rng.randint(100, 9000),
            "co_running": 2,
            "memory_available_bytes": rng.randint(10**9, 4 * 10**9),
            "probe_compute_us": round(rng.uniform(150, 300), 1),
            "probe_memory_us": round(rng.uniform(500, 900), 1),
            "idle_before_us": round(rng.uniform(0, 50000), 1),
            "first_run": False,
        },
        "total_us": round(sum(latencies) * 1.02, 1),
        "profiled": True,
        "operators": list(range(OPERATORS)),
        "latency_us": latencies,
    }


@dataclass(slots=True)
class Sent:
    """What came of a stretch of load: latencies of answers by status, and the time from first to last."""

    seconds: float = 0.0
    accepted: int = 0
    wire_bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def add(self, other: "Sent") -> None:
        """Append another stretch."""
        self.seconds += other.seconds
        self.accepted += other.accepted
        self.wire_bytes += other.wire_bytes
        self.latencies_s += other.latencies_s
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count


class ServerDiedError(Exception):
    """The server closed its connections; `pending` are the bodies without an answer, with their run ids."""

    def __init__(self, pending: list[tuple[bytes, list[str]]]) -> None:
        super().__init__(f"{len(pending)} requests without an answer")
        self.pending = pending


class _Connection:
    def __init__(self, port: int, batches: Batches) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.batches = batches
        self.received = b""
        self.started = 0.0
        self.ids: list[str] = []
        self.body = b""
        self.waiting = False

    def send(self, headers: str, encode: Callable[[bytes], bytes]) -> int:
        body, self.ids = self.batches.next()
        body = encode(body)
        head = f"POST /v1/measurements HTTP/1.1\r\nHost: localhost\r\n{headers}"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self.started = time.perf_counter()
        self.body, self.waiting = body, True
        self.socket.sendall(head.encode() + body)
        return len(body)

    def receive(self) -> tuple[int, bytes] | None:
        """Return status and body once an answer is complete; raise `ConnectionError` when there is none."""
        part = self.socket.recv(1 << 16)
        if not part:
            raise ConnectionError
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head)
        if not separator or not found or len(body) < int(found[1]):
            return None
        self.received, self.waiting = b"", False
        return int(head[9:12]), body


def saturate(
    port: int,
    *,
    seconds: float,
    connections: int = 8,
    headers: str = "Content-Type: application/json\r\n",
    encode: Callable[[bytes], bytes] = bytes,
    on_accepted: Callable[[list[str]], None] = lambda _ids: None,
) -> Sent:
    """Keep `connections` requests in flight for a while; raise `ServerDiedError` when the server dies.

    `on_accepted` is told the run ids of each batch that was acknowledged.
    """
    sent = Sent()
    selector = selectors.DefaultSelector()
    opened = [
        _Connection(port, Batches(f"device-{i}", seed=random.randrange(2**60))) for i in range(connections)
    ]
    try:
        began = time.perf_counter()
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            sent.wire_bytes += connection.send(headers, encode)
        busy = len(opened)
        while busy:
            for key, _ in selector.select():
                connection = key.data
                answer = connection.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                status, _body = answer
                sent.latencies_s.append(now - connection.started)
                sent.statuses[status] = sent.statuses.get(status, 0) + 1
                if status == 200:
                    sent.accepted += 1
                    on_accepted(connection.ids)
                if now - began < seconds:
                    sent.wire_bytes += connection.send(headers, encode)
                else:
                    busy -= 1
        sent.seconds = time.perf_counter() - began
    except ConnectionError as error:
        pending = [(connection.body, connection.ids) for connection in opened if connection.waiting]
        raise ServerDiedError(pending) from error
    finally:
        selector.close()
        for connection in opened:
            connection.socket.close()
    return sent


def then_start(timer: threading.Timer, answered: list[str], runs: int) -> Callable[[list[str]], None]:
    """Return what notes acknowledged runs in a list, and starts a timer once so many have been added.

    What is done to a server under load must not come before the load, however slowly that begins.
    """
    enough = len(answered) + runs

    def note(ids: list[str]) -> None:
        before = len(answered)
        answered.extend(ids)
        if before < enough <= len(answered):
            timer.start()

    return note
