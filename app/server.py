"""Run the application under uvicorn: listen, say where, drain on SIGTERM."""

import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from app.errors import SocastError
from app.observability import configure_logging
from app.services.database import open_migrated
from app.settings import Settings

log = structlog.get_logger(__name__)


class OpenServerError(SocastError):
    """`--open` serves without keys, so only on a loopback address; drop `--open` or listen on 127.0.0.1."""

    title = "Open server on a public address"


class _Server(uvicorn.Server):
    """Uvicorn that tells the application the moment it is asked to stop."""

    def __init__(self, config: uvicorn.Config, draining: threading.Event) -> None:
        super().__init__(config)
        self._draining = draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say where: whoever reads that line can connect."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            sys.stderr.write(f"socast: serving on http://{host}:{port}\n")
            sys.stderr.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT; a drained stop is a success, so neither is raised again."""
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM or SIGINT."""
        self._draining.set()
        super().handle_exit(sig, frame)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    if settings.open and not is_loopback(settings.host):
        raise OpenServerError
    configure_logging(settings.log_level, settings.log_format)
    if settings.open:
        log.warning(
            "OPEN SERVER: no keys, no rate limits; everybody on this machine may write", host=settings.host
        )
    # What cannot work is better said in one line, and at once, than by a traceback out of the event loop.
    listener = _listen(settings.host, settings.port)
    open_migrated(settings).dispose()
    from app.main import create_app

    application = create_app(settings)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
        timeout_keep_alive=75,
        lifespan="on",
    )
    server = _Server(config, application.state.draining)
    server.run(sockets=[listener])
    if not server.started:
        raise SocastError("The server did not start; see above.")


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise SocastError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    return listener
