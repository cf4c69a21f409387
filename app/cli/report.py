"""`socast report`: what analysts pull."""

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli._options import Server

if TYPE_CHECKING:
    from collectors.client import Client


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


Key = Annotated[str | None, typer.Option(envvar="SOCAST_KEY", help="API key (analyst).")]
Since = Annotated[
    str | None, typer.Option(envvar="SOCAST_SINCE", help="Only what happened from this time on (RFC 3339).")
]
Until = Annotated[
    str | None, typer.Option(envvar="SOCAST_UNTIL", help="Only what happened before this time (RFC 3339).")
]
Device = Annotated[str | None, typer.Option(envvar="SOCAST_DEVICE", help="Only this device.")]
Soc = Annotated[str | None, typer.Option(envvar="SOCAST_SOC", help="Only this SoC.")]
HowWritten = Annotated[Format, typer.Option("--format", envvar="SOCAST_FORMAT", help="How to write it.")]
Out = Annotated[
    Path | None, typer.Option(envvar="SOCAST_OUT", help="Write to this file instead of standard output.")
]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    reports = typer.Typer(no_args_is_help=True, help="Pull reports from a service.")
    reports.callback()(lambda: None)
    for command in (errors, drift, misses, coverage, regret):
        reports.command()(command)
    cli.add_typer(reports, name="report")


def errors(
    server: Server,
    key: Key = None,
    group_by: Annotated[
        str, typer.Option(envvar="SOCAST_GROUP_BY", help="Comma-separated: condition, processor, model, ….")
    ] = "condition",
    since: Since = None,
    until: Until = None,
    device: Device = None,
    soc: Soc = None,
    format_: HowWritten = Format.TABLE,
    out: Out = None,
) -> None:
    """Show offline against runtime prediction error, in groups."""
    asked = _asked(group_by=group_by, since=since, until=until, device_id=device, soc=soc)
    _pull("errors", asked, server, key, format_, out)


def drift(
    server: Server,
    key: Key = None,
    kind: Annotated[
        str | None, typer.Option(envvar="SOCAST_KIND", help="Only this: drift, version, quarantine, ….")
    ] = None,
    since: Since = None,
    until: Until = None,
    device: Device = None,
    soc: Soc = None,
    format_: HowWritten = Format.TABLE,
    out: Out = None,
) -> None:
    """Show what befell the predictors: drifts, refits, versions, devices set aside."""
    asked = _asked(kind=kind, since=since, until=until, device_id=device, soc=soc)
    _pull("drift", asked, server, key, format_, out)


def misses(
    server: Server,
    key: Key = None,
    group_by: Annotated[
        str, typer.Option(envvar="SOCAST_GROUP_BY", help="Comma-separated: condition, processor, model, ….")
    ] = "condition",
    run: Annotated[str | None, typer.Option(envvar="SOCAST_RUN", help="Only this run, by its id.")] = None,
    model: Annotated[
        str | None, typer.Option(envvar="SOCAST_MODEL", help="Only this model, by name or digest.")
    ] = None,
    since: Since = None,
    until: Until = None,
    device: Device = None,
    soc: Soc = None,
    format_: HowWritten = Format.TABLE,
    out: Out = None,
) -> None:
    """Show why the runtime predictor missed runs, by cause, and what to profile next."""
    asked = _asked(
        group_by=group_by, run_id=run, model=model, since=since, until=until, device_id=device, soc=soc
    )
    _pull("misses", asked, server, key, format_, out)


def coverage(
    server: Server,
    key: Key = None,
    model: Annotated[
        str | None, typer.Option(envvar="SOCAST_MODEL", help="Only this model, by name or digest.")
    ] = None,
    device: Device = None,
    soc: Soc = None,
    format_: HowWritten = Format.TABLE,
    out: Out = None,
) -> None:
    """Show what the predictors know, what they do not, and what to profile next."""
    asked = _asked(model=model, device_id=device, soc=soc)
    _pull("coverage", asked, server, key, format_, out)


def regret(
    server: Server,
    key: Key = None,
    group_by: Annotated[
        str,
        typer.Option(envvar="SOCAST_GROUP_BY", help="Comma-separated: predictor, condition, strategy, …."),
    ] = "predictor,condition",
    since: Since = None,
    until: Until = None,
    device: Device = None,
    soc: Soc = None,
    format_: HowWritten = Format.TABLE,
    out: Out = None,
) -> None:
    """Show what choosing plans by predictions costs against the best measured ones."""
    asked = _asked(group_by=group_by, since=since, until=until, device_id=device, soc=soc)
    _pull("regret", asked, server, key, format_, out)


def _asked(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _pull(
    name: str, asked: Mapping[str, str], server: str, key: str | None, format_: Format, out: Path | None
) -> None:
    """Pull a report and write it; a file is there whole or not at all."""
    from collectors.client import Client

    with Client(server, key) as client:
        if format_ in (Format.CSV, Format.PARQUET):
            content = client.report_file(name, format_.value, **asked)
        else:
            report = _whole(client, name, asked)
            text = json.dumps(report, indent=2) if format_ is Format.JSON else _drawn(name, report, out)
            content = f"{text}\n".encode()
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    unfinished = out.with_name(out.name + ".part")
    unfinished.write_bytes(content)
    unfinished.replace(out)


def _whole(client: "Client", name: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a report with the lines of all its pages."""
    report = client.report(name, **asked)
    lines = "groups" if "groups" in report else "items"
    while (following := report.get("next")) is not None:
        page = client.report(name, **asked, cursor=following)
        report[lines] += page[lines]
        report["next"] = page["next"]
    return report


def _drawn(name: str, report: Mapping[str, Any], out: Path | None) -> str:
    from rich.console import Console

    from app.terminal import report_tables

    console = Console() if out is None else Console(width=160, no_color=True, force_terminal=False)
    with console.capture() as captured:
        for table in report_tables(name, report):
            console.print(table)
    return captured.get().rstrip("\n")
