"""Makes a regime real: starts its child processes and its throttle, and takes all of it down again."""

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from collectors.conditions import Load, Regime
from collectors.errors import CollectorError
from collectors.throttle import COMPETING_PROCESS, throttled

BURN_SCRIPT = Path(__file__).with_name("burn.py")
START_TIMEOUT_S = 60.0
MARGIN_S = 5.0
"""Children live this much longer than the episode that they serve, should nobody stop them."""


@contextmanager
def applied(regime: Regime, seconds: float) -> Iterator[str]:
    """Keep the machine in a regime; gives a text that says what was done.

    To be used by the thread that measures: it is the one that a CPU quota slows, and the one whose end
    ends the children.

    Raises:
        CollectorError: a load did not start.

    """
    with ExitStack() as stack:
        for load in regime.loads:
            stack.enter_context(_burning(load, seconds + MARGIN_S))
        means = "none"
        if regime.speed < 1:  # last, because children would inherit the quota
            means = stack.enter_context(throttled(regime.core, regime.speed))
            if means == COMPETING_PROCESS:
                rival = Load(kind="compute", core=regime.core, duty=1 - regime.speed)
                stack.enter_context(_burning(rival, seconds + MARGIN_S))
        yield _describe(regime, means)


def _describe(regime: Regime, throttle: str) -> str:
    parts = [f"{load.kind} load on cpu:{load.core} {load.duty:.0%} of the time" for load in regime.loads]
    if regime.speed < 1:
        parts.append(f"speed {regime.speed:.0%} by {throttle}")
    return ", ".join(parts) or "idle"


@contextmanager
def _burning(load: Load, seconds: float) -> Iterator[None]:
    arguments = (load.kind, str(load.core), str(load.duty), str(seconds), str(os.getpid()))
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(BURN_SCRIPT), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await_ready(child)
        yield
    finally:
        child.kill()
        child.communicate()


def _await_ready(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(START_TIMEOUT_S) or child.stdout.readline() != b"ready\n":
            raise CollectorError("a load process did not start; is this machine out of memory or processes?")
