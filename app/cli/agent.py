"""`socast agent`: time models on this machine's processors and send the timings to a server."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from app.cli._options import Models, Processors, names


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("agent")(agent)


def agent(
    server: Annotated[
        str | None, typer.Option(envvar="SOCAST_SERVER", help="Address of the service.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(envvar="SOCAST_TRACE", help="Instead of a server: add to this .ndjson.gz file."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="SOCAST_KEY", help="Key with the role agent; better set in the environment."),
    ] = None,
    models: Models = "light",
    conditions: Annotated[
        str,
        typer.Option(envvar="SOCAST_CONDITIONS", help="Regimes to make, of those in data/conditions.toml."),
    ] = "s0,s1,s2,s3,s4,pair",
    seconds: Annotated[
        float | None,
        typer.Option(envvar="SOCAST_SECONDS", min=1, help="Stop after this long; else on Ctrl-C."),
    ] = None,
    processors: Processors = "",
    device: Annotated[
        str | None,
        typer.Option(envvar="SOCAST_DEVICE", help="Identity of this device; made up if absent, and lasting."),
    ] = None,
    spool: Annotated[
        Path | None, typer.Option(envvar="SOCAST_SPOOL", help="File that keeps what is not uploaded yet.")
    ] = None,
    spool_cap_mb: Annotated[
        int,
        typer.Option(envvar="SOCAST_SPOOL_CAP_MB", min=1, help="Size at which a random share of it goes."),
    ] = 256,
    seed: Annotated[
        int | None,
        typer.Option(envvar="SOCAST_SEED", help="Makes the order of models and regimes repeatable."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", envvar="SOCAST_JSON", help="Print every event as a line of JSON on stdout."),
    ] = False,
) -> None:
    """Time models on this machine's processors while load comes and goes, and upload the timings."""
    from app.termination import stop_event
    from collectors.agent import AgentOptions, record_trace, run

    if (server is None) == (trace is None):
        raise typer.BadParameter("name either a --server to upload to or a --trace file to write")
    stop = stop_event()
    options = AgentOptions(
        server=server,
        spool=spool or (_state_folder() / "spool.sqlite" if trace is None else trace.with_suffix(".spool")),
        key=key,
        models=models,
        conditions=names(conditions),
        seconds=seconds,
        processors=names(processors),
        device_id=device,
        spool_cap_bytes=spool_cap_mb * 1024 * 1024,
        seed=seed,
    )
    on_event = _print_json if as_json else _print_text
    if trace is None:
        run(options, on_event, stop)
    else:
        record_trace(options, trace, on_event, stop)


def _state_folder() -> Path:
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(root) / "socast"


def _print_json(event: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _print_text(event: Mapping[str, object]) -> None:
    fields = " ".join(f"{name}={_shown(value)}" for name, value in event.items() if name != "event")
    sys.stderr.write(f"{event['event']:<14} {fields}\n")


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
