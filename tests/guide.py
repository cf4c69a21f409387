"""Runs what the user guide shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.processes import LIMIT_S

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language, in order."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run_page(page: str, directory: Path, environment: dict[str, str]) -> None:
    """Run all shell and Python blocks of a page in a directory; fail on the first that fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    everything = os.environ | environment | {"PATH": path}
    commands = [["bash", "-euo", "pipefail", "-c", block] for block in blocks(page, "sh")]
    commands += [[sys.executable, "-c", block] for block in blocks(page, "python")]
    assert commands, f"{page} shows nothing to run"
    for command in commands:
        done = subprocess.run(
            command,
            check=False,
            cwd=directory,
            env=everything,
            capture_output=True,
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        assert done.stdout, f"{command[-1]} printed nothing"
