"""Sessions of the agent that end when enough was measured, not when a clock says so."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from collectors import agent
from collectors.agent import AgentOptions, Counts, Event
from tests.processes import LIMIT_S

BRISK = {"collectors.schedule.CALIBRATION_S": 1.0, "collectors.schedule.LONGEST_EPISODE_S": 1.0}
"""Short visits, for sessions without a time limit."""

Run = Callable[[AgentOptions, Callable[[Event], None], threading.Event], Counts]


def until(
    enough: Callable[[Event], bool],
    options: AgentOptions,
    on_event: Callable[[Event], None] = lambda event: None,
    *,
    drain_s: float = LIMIT_S,
    run: Run = agent.run,
) -> Counts:
    """Run a session until `enough` says so of an event `progress`, then wait for its uploads."""
    stop = threading.Event()
    deadline = time.monotonic() + LIMIT_S

    def watch(event: Event) -> None:
        on_event(event)
        if event["event"] == "progress" and (enough(event) or time.monotonic() > deadline):
            stop.set()

    with pytest.MonkeyPatch.context() as patch:
        for name, seconds in {**BRISK, "collectors.session.DRAIN_S": drain_s}.items():
            patch.setattr(name, seconds)
        return run(replace(options, seconds=None), watch, stop)
