"""`socast key`: make, list and revoke API keys."""

import datetime
from typing import Annotated

import typer

from app.cli._options import DatabaseUrl


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
    group.command()(create)
    group.command("list")(list_)
    group.command()(revoke)
    cli.add_typer(group, name="key")


def create(
    role: Annotated[str, typer.Option(help="agent, scheduler, analyst or admin.", envvar="SOCAST_ROLE")],
    device: Annotated[
        str | None,
        typer.Option(help="The only device that an agent's key speaks for.", envvar="SOCAST_DEVICE"),
    ] = None,
    database: DatabaseUrl = None,
) -> None:
    """Make a key and print it: it is shown only this once."""
    from app.services import keys
    from app.services.database import open_for_command

    if role not in list(keys.Role):
        raise typer.BadParameter(f"one of {', '.join(keys.Role)}", param_hint="--role")
    made = keys.create(open_for_command(database), keys.Role(role), device)
    typer.echo(made.text)


def list_(database: DatabaseUrl = None) -> None:
    """List keys without their secrets."""
    from app.services.database import open_for_command
    from app.store import keys

    with open_for_command(database).read() as connection:
        for key in keys.list_keys(connection):
            made = datetime.datetime.fromtimestamp(key.created_at_us / 1e6, datetime.UTC)
            state = "in use" if key.revoked_at_us is None else "revoked"
            typer.echo(f"{key.id}\t{key.role}\t{key.device_id or '-'}\t{made:%Y-%m-%d %H:%M}\t{state}")


def revoke(
    key_id: Annotated[int, typer.Argument(metavar="ID", help="As `socast key list` shows it.")],
    database: DatabaseUrl = None,
) -> None:
    """Make a key useless; a running server notices within seconds."""
    from app.services.database import open_for_command
    from app.store import keys

    with open_for_command(database).write() as connection:
        keys.revoke(connection, key_id)
