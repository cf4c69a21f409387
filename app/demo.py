"""The demo: a service, an agent and a report on this machine, each the real command in its own process."""

import json
import math
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from app.errors import SocastError
from app.terminal import error_table, plan_table
from app.termination import interrupted_on_terminate
from collectors.client import Client, ServiceError
from collectors.models import LIGHT, find_models

DEVICE_ID = "this-machine"
MODELS = ("inception_v1", "resnet50", "shufflenet", "squeezenet", "zfnet512")
"""Those light models that are quick enough for each to run often in every condition."""

PLANNED_MODEL = "resnet50"
PREFERRED_PORT = 8321
START_LIMIT_S = 120.0
LEARN_LIMIT_S = 120.0
"""How long the learner may take without any run less to learn."""
STOP_LIMIT_S = 20.0

Event = Mapping[str, Any]


def run(folder: Path, *, seconds: float, once: bool) -> None:
    """Measure for `seconds`, then show a plan and the error table; serve on until Ctrl-C unless `once`.

    Raises `SocastError` when a process that the demo started fails; its log lies in `folder`.
    """
    console = Console()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(interrupted_on_terminate())
        server = stack.enter_context(_service(folder))
        client = stack.enter_context(Client(server))
        console.print(f"Serving on {server}; the database is {folder / 'socast.db'}.")
        console.print(
            f"Timing {len(MODELS)} networks of the onnx package on this processor for {seconds:.0f} s: calm "
            "first, then with competing processes and memory pressure coming and going (s0 to s4)."
        )
        with _agent(server, folder, seconds) as events:
            _watch(console, events, client, seconds)
        _await_learner(console, client)
        _show(console, client)
        if not once:
            console.print(
                f"\nThe service keeps running at {server} (try /v1/reports/errors). Ctrl-C stops it."
            )
            _until_interrupted()


def _show(console: Console, client: Client) -> None:
    path = next(file.path for file in find_models(LIGHT) if file.identity.name == PLANNED_MODEL)
    digest = client.register_model(path)["digest"]
    answer = client.plan({"models": [{"digest": digest}], "device_id": DEVICE_ID})
    console.print(f"\n[bold]Where should {PLANNED_MODEL} run on this machine now?[/bold]  (POST /v1/plan)")
    console.print(plan_table(answer))
    for item in answer["impossible"]:
        console.print(f"{item['strategy']}: {item['reason']}")
    report = client.report("errors", group_by="condition")
    console.print(
        "\n[bold]How wrong is a frozen offline profile, and the runtime predictor?[/bold]  "
        "(GET /v1/reports/errors; each run was predicted before anything learned from it)"
    )
    console.print(error_table(report["groups"]))


def _watch(console: Console, events: Iterator[Event], client: Client, seconds: float) -> None:
    """Show what the agent does until it ends."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, expand=False
    )
    task = progress.add_task("starting", total=seconds)
    started = time.monotonic()
    counts = Text()
    with Live(Group(progress, counts), console=console, refresh_per_second=4):
        for event in events:
            progress.update(task, completed=min(seconds, time.monotonic() - started))
            if event["event"] == "episode":
                phase = "calm calibration" if event["calibration"] else f"condition {event['condition']}"
                progress.update(task, description=f"{phase} on {event['processor']} ({event['load']})")
            elif event["event"] == "progress":
                counts.plain = (
                    f"{event['runs']:,} runs and {event['timings']:,} operator timings measured; "
                    f"{_scored(client):,} runs predicted before they were learned from"
                )
        progress.update(task, description="measured", completed=seconds)


def _scored(client: Client) -> int:
    """Return how many runs the learner has scored so far."""
    try:
        groups = client.report("errors", group_by="condition")["groups"]
    except ServiceError:
        return 0
    return sum(
        max((rung["n"] for rung in group["rungs"].values()), default=0)
        for group in groups
        if group["level"] == "run"
    )


def _await_learner(console: Console, client: Client) -> None:
    """Wait until the learner has scored everything that is stored."""
    deadline, least = time.monotonic() + LEARN_LIMIT_S, math.inf
    with console.status("The learner finishes what is stored"):
        while pending := client.report("errors")["pending_runs"]:
            if pending < least:
                deadline, least = time.monotonic() + LEARN_LIMIT_S, pending
            if time.monotonic() > deadline:
                raise SocastError(f"The learner did not go on for {LEARN_LIMIT_S:.0f} s.")
            time.sleep(0.3)


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """Run the service on the usual port, or on a free one where that is taken; yield its address."""
    database = f"sqlite:///{folder / 'socast.db'}"
    log = folder / "serve.log"
    for port in (PREFERRED_PORT, 0):
        with _process("serve", "--open", "--port", str(port), "--database", database, log=log) as child:
            address = _address(child, log)
            if address is not None:
                yield address
                return
    raise SocastError(f"The service did not start; see {log}.")


def _address(child: subprocess.Popen[bytes], log: Path) -> str | None:
    """Return where the service says that it serves; none when it ends, or takes too long to say it."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        if found := re.search(r"serving on (http://\S+)\n", log.read_text(errors="replace")):
            return found[1]
        if ended:
            return None
        time.sleep(0.1)
    return None


@contextmanager
def _agent(server: str, folder: Path, seconds: float) -> Iterator[Iterator[Event]]:
    """Run the agent; yield its events, which end when it does."""
    models = folder / "models"
    models.mkdir()
    for file in find_models(LIGHT):
        if file.identity.name in MODELS:
            (models / file.path.name).symlink_to(file.path)
    arguments = (
        "--models",
        str(models),
        "--server",
        server,
        "--device",
        DEVICE_ID,
        "--seconds",
        str(seconds),
        "--json",
    )
    log = folder / "agent.log"
    with _process(
        "agent", *arguments, "--spool", str(folder / "spool.sqlite"), log=log, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        yield _events(child.stdout)
        if child.wait(STOP_LIMIT_S) != 0:
            raise SocastError(f"The agent failed; see {log}.")


def _events(lines: IO[bytes]) -> Iterator[Event]:
    """Yield the agent's events, and a heartbeat while it is silent."""
    arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        for line in lines:
            arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=0.5)
        except queue.Empty:
            yield {"event": "heartbeat"}
            continue
        if line is None:
            return
        yield json.loads(line)


@contextmanager
def _process(*arguments: str, log: Path, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `socast` command, out of reach of the terminal's Ctrl-C, and stop it at the end."""
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            stdout=errors if stdout is None else stdout,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _until_interrupted(pause: Callable[[], None] = signal.pause) -> None:
    try:
        pause()
    except KeyboardInterrupt:
        return
