"""The agent's hold on its uploader: starts it, starts it again when it ends, and lets it finish."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PROGRAM = """
import sys
sys.modules["click"] = None  # else httpx loads its command line, and rich with it: 6 MB that nobody uses here
from collectors.uploader import main
main(*sys.argv[1:])
"""
GRACE_S = 5.0
"""Time beyond the drain in which the uploader has to end by itself."""


class UploaderProcess:
    """One child process that empties the spool; to be used by the thread that lives longest.

    The key travels in the environment, where other users cannot read it.
    """

    def __init__(self, server: str, spool: Path, key: str | None) -> None:
        self._command = [sys.executable, "-c", PROGRAM, server, str(spool), str(os.getpid())]
        self._environment = {**os.environ, "SOCAST_KEY": key or ""}
        self._child = self._start()

    def ensure_alive(self) -> None:
        """Start the uploader again if it has ended; the spool tells it where to go on."""
        if self._child.poll() is not None:
            self._child = self._start()

    def finish(self, drain_s: float) -> None:
        """Let it upload what is left for a while, then end it."""
        with suppress(BrokenPipeError):
            assert self._child.stdin is not None
            self._child.stdin.write(f"drain {drain_s}\n".encode())
            self._child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(drain_s + GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End it now; nothing is lost, because records leave the spool only when the server has them."""
        self._child.kill()
        self._child.wait()
        if self._child.stdin is not None:
            with suppress(BrokenPipeError):
                self._child.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
