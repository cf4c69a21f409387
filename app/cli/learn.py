"""`socast learn`: the learner as a process of its own."""

from typing import Annotated, Any

import typer

from app.cli._options import DatabaseUrl


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(learn)


def learn(
    database: DatabaseUrl = None,
    once: Annotated[
        bool, typer.Option("--once", help="Learn from what is stored, then stop.", envvar="SOCAST_ONCE")
    ] = False,
) -> None:
    """Score new runs, learn from them and publish predictor versions until stopped."""
    from app.learner import run
    from app.settings import Settings

    given: dict[str, Any] = {} if database is None else {"database": database}
    run(Settings.load(**given), once=once)
