"""The learner as a process: beside the server, or alone as `socast learn`."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from app.observability import configure_logging
from app.services.database import open_migrated
from app.services.learn import Learning
from app.settings import Settings
from app.termination import stop_event

log = structlog.get_logger(__name__)

IDLE_S = 0.3
"""Pause between two looks for new runs."""

STOP_LIMIT_S = 30.0
"""Longest time that a step may take until a stopping learner is ended by force; no step is half-stored."""


def run(settings: Settings, *, once: bool = False) -> None:
    """Learn until SIGTERM or SIGINT, or until nothing is left to learn."""
    stop = stop_event()
    configure_logging(settings.log_level, settings.log_format)
    _learn(settings, stop, is_over=(lambda idle: idle) if once else (lambda idle: False))


@contextmanager
def beside(settings: Settings) -> Iterator[None]:
    """Run a learner process as long as the block lasts; it also ends by itself when this process dies."""
    process = multiprocessing.get_context("spawn").Process(
        target=_child, args=(settings,), name="socast-learner", daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(STOP_LIMIT_S)
        if process.is_alive():
            process.kill()
            process.join()


def _child(settings: Settings) -> None:
    parent = os.getppid()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the server too, which then ends this
    os.nice(5)  # answering comes before learning
    configure_logging(settings.log_level, settings.log_format)
    _learn(settings, stop, is_over=lambda _idle: os.getppid() != parent)


def _learn(settings: Settings, stop: threading.Event, is_over: Callable[[bool], bool]) -> None:
    database = open_migrated(settings)
    try:
        learning = Learning(database)
        log.info("learning", database=database.url.render_as_string(hide_password=True))
        while not stop.is_set():
            try:
                idle = learning.step() == 0
            except Exception:
                log.exception("learning_step_failed")
                learning = Learning(database)
                idle = True
            if is_over(idle):
                break
            if idle:
                stop.wait(IDLE_S)
    finally:
        database.dispose()
