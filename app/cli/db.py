"""`socast db`: look after the database."""

import re
from typing import Annotated

import typer

from app.cli._options import DatabaseUrl

UNITS_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Look after the database.", no_args_is_help=True)
    group.command()(upgrade)
    group.command()(check)
    group.command()(prune)
    cli.add_typer(group, name="db")


def upgrade(database: DatabaseUrl = None) -> None:
    """Bring the schema to the newest version."""
    from app.services import upkeep
    from app.services.database import open_unmigrated

    done = upkeep.upgrade(open_unmigrated(database))
    typer.echo(f"{done.before or 'empty'} -> {done.after}")


def check(database: DatabaseUrl = None) -> None:
    """Check schema and content; exit 1 with what is wrong."""
    from app.services import upkeep
    from app.services.database import open_unmigrated

    typer.echo(f"schema {upkeep.check(open_unmigrated(database))}, content whole")


def prune(
    older_than: Annotated[
        str, typer.Option(help="Age, for example 36h, 90d or 12w.", envvar="SOCAST_OLDER_THAN")
    ],
    database: DatabaseUrl = None,
) -> None:
    """Drop measurements received longer ago than that."""
    from app.services import upkeep
    from app.services.database import open_unmigrated

    found = re.fullmatch(r"(\d+)([hdw])", older_than)
    if found is None:
        raise typer.BadParameter("use a number and h, d or w, for example 90d", param_hint="--older-than")
    done = upkeep.prune(open_unmigrated(database), int(found[1]) * UNITS_S[found[2]])
    typer.echo(f"dropped {done.runs} runs, {done.timings} timings, {done.transfers} transfers")
