"""`socast report`: what analysts pull."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How a report is written to standard output."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    reports = typer.Typer(no_args_is_help=True, help="Pull reports from a service.")
    reports.callback()(lambda: None)
    reports.command()(errors)
    cli.add_typer(reports, name="report")


def errors(
    server: Annotated[str, typer.Option(envvar="SOCAST_SERVER", help="Address of the service.")],
    key: Annotated[str | None, typer.Option(envvar="SOCAST_KEY", help="API key (analyst).")] = None,
    group_by: Annotated[
        str, typer.Option(envvar="SOCAST_GROUP_BY", help="Comma-separated: condition, processor, model, ….")
    ] = "condition",
    since: Annotated[
        str | None, typer.Option(envvar="SOCAST_SINCE", help="Only runs from this time on (RFC 3339).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(envvar="SOCAST_UNTIL", help="Only runs before this time (RFC 3339).")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", envvar="SOCAST_FORMAT", help="How to write it.")
    ] = Format.TABLE,
) -> None:
    """Offline against runtime prediction error, in groups."""
    from app.terminal import error_table
    from collectors.client import Client

    parameters = {"group_by": group_by}
    if since is not None:
        parameters["since"] = since
    if until is not None:
        parameters["until"] = until
    with Client(server, key) as client:
        if format_ in (Format.CSV, Format.PARQUET):
            sys.stdout.buffer.write(client.report_file("errors", format_.value, **parameters))
            return
        report = client.report("errors", **parameters)
    if format_ is Format.JSON:
        typer.echo(json.dumps(report, indent=2))
        return
    from rich.console import Console

    console = Console()
    for level in ("run", "operator"):
        console.print(error_table(report["groups"], level))
    if report["pending_runs"]:
        console.print(f"{report['pending_runs']:,} runs are stored but not yet scored.")
