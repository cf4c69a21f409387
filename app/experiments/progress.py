"""Progress on stderr: a bar over the time that an experiment may take, and what it does at the moment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.experiments.folder import Journal


class Told:
    """Where an experiment says what it does."""

    def __init__(self, progress: Progress, journal: Journal, seconds: float) -> None:
        self._progress = progress
        self._journal = journal
        self._task = progress.add_task(
            "starting", total=seconds, completed=int(min(seconds, journal.spent_s))
        )
        self._seconds = seconds

    def say(self, text: str) -> None:
        """Name the present step."""
        done = min(self._journal.spent_s, self._seconds)
        self._progress.update(self._task, description=text, completed=done)

    def event(self, event: object) -> None:
        """Tell an agent's event."""
        if not isinstance(event, dict):
            return
        if event["event"] == "episode":
            phase = "calm calibration" if event["calibration"] else f"condition {event['condition']}"
            self.say(f"{phase} on {event['processor']} ({event['load']})")
        elif event["event"] == "learned":
            self.say(f"learning: {event['runs']:,} runs")


@contextmanager
def progress(journal: Journal, seconds: float) -> Iterator[Told]:
    """Show a bar while the block lasts."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
    )
    with bar:
        yield Told(bar, journal, seconds)
