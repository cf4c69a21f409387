"""`socast demo`: the whole promise on this machine, in about two minutes."""

from pathlib import Path
from typing import Annotated

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="SOCAST_ONCE", help="Stop after the table, else on Ctrl-C.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(envvar="SOCAST_SECONDS", min=20, help="How long to measure.")
    ] = 90.0,
    folder: Annotated[
        Path, typer.Option(envvar="SOCAST_FOLDER", help="Where the demo's database goes; emptied first.")
    ] = Path("build/demo"),
) -> None:
    """Time real operators under real load here, learn, plan, and compare offline with runtime prediction."""
    from app.demo import run

    run(folder, seconds=seconds, once=once)
