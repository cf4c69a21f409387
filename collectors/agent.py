"""The agent: times models while load comes and goes, and has everything it measured sent to the server."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from collectors.session import AgentOptions, Counts, Event, Session
from collectors.spool import Spool
from collectors.spool_file import remove_spool
from collectors.trace import write_trace

__all__ = ["AgentOptions", "Counts", "Event", "record_trace", "run"]


def run(
    options: AgentOptions,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Counts:
    """Measure and upload until the time is over or `stop` is set; returns the spool's counters.

    Events are flat mappings with an `event` field: `started`, `episode`, `progress`, `model_skipped`,
    `clock_jump` and `finished`. Nothing that was measured is lost when this ends: what the
    server did not take by then stays in the spool for the next session.

    Raises:
        CollectorError: the options do not fit this machine, or no model can run.

    """
    stop = stop or threading.Event()
    with ExitStack() as stack:
        session = Session(options, on_event, stop, stack)
        session.calibrate()
        session.experiment()
        return session.finish()


def record_trace(
    options: AgentOptions,
    path: Path,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Counts:
    """Measure without a server and add everything to a trace file in the end."""
    counts = run(replace(options, server=None), on_event, stop)
    spool = Spool(options.spool)
    try:
        write_trace(spool, path)
    finally:
        spool.close()
    remove_spool(options.spool)
    return counts
