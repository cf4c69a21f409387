"""A tiny real HTTP server on loopback that answers as it is told and keeps what it was sent."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One HTTP answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def receipt(batch: dict[str, Any], rejected: list[dict[str, str]] | None = None) -> Answer:
    """Answer a batch as the service does."""
    counts = {"runs": len(batch["runs"]), "timings": 0, "transfers": len(batch["transfers"])}
    return Answer(
        body={
            "batch_id": batch["batch_id"],
            "accepted": counts,
            "duplicates": {"runs": 0},
            "rejected": rejected or [],
        }
    )


class Loopback:
    """What was posted, and how the next batches are answered."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = receipt
        self.url = ""

    def reply(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Keep the request and choose the answer."""
        self.paths.append(path)
        self.headers.append(headers)
        if not path.startswith("/v1/measurements"):
            return Answer(body={})
        raw = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        batch = json.loads(raw)
        answer = self.answer(batch)
        if answer.status == 200:
            self.batches.append(batch)
        return answer


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Run the server in a thread."""
    state = Loopback()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = state.reply(self.path, headers, body)
            content = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
