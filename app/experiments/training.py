"""What a predictor learns from before it is put to the test: an agent's session, calm first, then regimes."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.experiments.experiment import Bench
from app.experiments.lab import DEVICE_ID, Lab
from app.experiments.regimes import CONDITIONS
from collectors.agent import AgentOptions, Event
from collectors.agent import run as run_agent
from collectors.models import ModelFile
from collectors.spool import Spool

LEAST_S = 2.5
"""A shorter session than this is not worth its set-up."""
LEARNING_SHARE = 0.7
"""Time for learning, as a share of what the session took: a busy machine must not spend all time on it."""


def train(bench: Bench, seconds: float) -> None:
    """Register the models, have an agent measure them until `seconds` are spent on it, then learn everything.

    Goes on where it was.
    """
    for file in bench.files:
        bench.lab.register(file)
    journal = bench.journal
    spool = journal.folder / "spool.sqlite"
    left_s = seconds - sum(step["session_s"] for step in journal.all("trained"))
    if left_s >= LEAST_S:
        options = AgentOptions(
            server=None,
            spool=spool,
            models=str(_gathered(journal.folder / "models", bench.files)),
            conditions=(*CONDITIONS, "pair"),
            seconds=left_s,
            processors=bench.names,
            device_id=DEVICE_ID,
            seed=bench.options.seed,
        )
        counts = run_agent(options, bench.told.event, threading.Event())
        journal.put("trained", session_s=left_s, runs=counts["runs"])
    waiting = Spool(spool)
    try:
        bench.lab.take(waiting)
    finally:
        waiting.close()
    learn(bench.lab, LEARNING_SHARE * seconds, bench.told.event)


def learn(lab: Lab, seconds: float, on_event: Callable[[Event], None] = lambda event: None) -> None:
    """Learn what is stored, as far as the time allows; the rest waits for the next time."""
    end = time.monotonic() + seconds
    learned = 0
    for count in lab.learn():
        learned += count
        on_event({"event": "learned", "runs": learned})
        if time.monotonic() > end:
            return


def _gathered(folder: Path, files: Sequence[ModelFile]) -> Path:
    """Have a folder of links to the model files, which is how an agent is told of several."""
    folder.mkdir(exist_ok=True)
    for file in files:
        link = folder / file.path.name
        if not link.is_symlink():
            link.symlink_to(file.path.resolve())
    return folder
