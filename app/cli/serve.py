"""`socast serve`: run the service."""

from typing import Annotated, Any

import typer

from app.cli._options import DatabaseUrl


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", envvar="SOCAST_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", envvar="SOCAST_PORT")] = None,
    database: DatabaseUrl = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open", help="No keys, no rate limits; loopback only.", envvar="SOCAST_OPEN"),
    ] = None,
    no_learner: Annotated[
        bool | None,
        typer.Option("--no-learner", help="Do not learn in this process.", envvar="SOCAST_NO_LEARNER"),
    ] = None,
) -> None:
    """Serve the API and pages; an embedded SQLite database migrates itself."""
    from app.server import run
    from app.settings import Settings

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "database": database,
        "open": open_,
        "no_learner": no_learner,
    }
    run(Settings.load(**{name: value for name, value in given.items() if value is not None}))
