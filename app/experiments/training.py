"""What a predictor learns from before it is put to the test: an agent's session, calm first, then regimes."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from app.experiments.folder import Journal
from app.experiments.lab import DEVICE_ID, Lab
from app.experiments.regimes import CONDITIONS
from collectors.agent import AgentOptions, Event
from collectors.agent import run as run_agent
from collectors.models import ModelFile
from collectors.spool import Spool

LEAST_S = 4.0
"""A shorter session than this is not worth its set-up."""


def train(
    journal: Journal,
    lab: Lab,
    files: Sequence[ModelFile],
    *,
    seconds: float,
    processors: Sequence[str],
    on_event: Callable[[Event], None],
    seed: int,
) -> None:
    """Have an agent measure until `seconds` are spent on it, then learn everything; goes on where it was."""
    spool = journal.folder / "spool.sqlite"
    left_s = seconds - sum(step["session_s"] for step in journal.all("trained"))
    if left_s >= LEAST_S:
        options = AgentOptions(
            server=None,
            spool=spool,
            models=str(_gathered(journal.folder / "models", files)),
            conditions=(*CONDITIONS, "pair"),
            seconds=left_s,
            processors=tuple(processors),
            device_id=DEVICE_ID,
            seed=seed,
        )
        counts = run_agent(options, on_event, threading.Event())
        journal.put("trained", session_s=left_s, runs=counts["runs"])
    waiting = Spool(spool)
    try:
        lab.take(waiting)
    finally:
        waiting.close()
    learn(lab, on_event)


def learn(lab: Lab, on_event: Callable[[Event], None] = lambda event: None) -> None:
    """Learn everything that is stored."""
    learned = 0
    for count in lab.learn():
        learned += count
        on_event({"event": "learned", "runs": learned})


def _gathered(folder: Path, files: Sequence[ModelFile]) -> Path:
    """Have a folder of links to the model files, which is how an agent is told of several."""
    folder.mkdir(exist_ok=True)
    for file in files:
        link = folder / file.path.name
        if not link.is_symlink():
            link.symlink_to(file.path.resolve())
    return folder
