"""`socast gate`: let a model's pipeline fail where the model would be too slow."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli._options import AnswerAsJson, SchedulerKey, Server, names

EXIT_CODES = {"pass": 0, "fail": 10, "too_thin": 11}
"""Apart from 1 (a fault) and 2 (wrong usage), so that a pipeline can tell a slow model from a broken gate."""

LEVELS = ("p50", "p90", "p95", "p99")


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(gate)


def gate(
    model: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An ONNX file.")],
    server: Server,
    key: SchedulerKey = None,
    p50_us: Annotated[
        float | None,
        typer.Option(envvar="SOCAST_P50_US", min=0.001, help="Most that the median may be, in µs."),
    ] = None,
    p90_us: Annotated[
        float | None,
        typer.Option(envvar="SOCAST_P90_US", min=0.001, help="Most for 90 % of the runs, in µs."),
    ] = None,
    p95_us: Annotated[
        float | None,
        typer.Option(envvar="SOCAST_P95_US", min=0.001, help="Most for 95 % of the runs, in µs."),
    ] = None,
    p99_us: Annotated[
        float | None,
        typer.Option(envvar="SOCAST_P99_US", min=0.001, help="Most for 99 % of the runs, in µs."),
    ] = None,
    devices: Annotated[
        str, typer.Option(envvar="SOCAST_DEVICES", help="Comma-separated devices, each as it stands now.")
    ] = "",
    socs: Annotated[str, typer.Option(envvar="SOCAST_SOCS", help="Comma-separated SoCs, as such.")] = "",
    processors: Annotated[
        str, typer.Option(envvar="SOCAST_PROCESSORS", help="Only these processors, comma-separated.")
    ] = "",
    context: Annotated[
        str,
        typer.Option(
            envvar="SOCAST_CONTEXT",
            help="Instead of each device's latest: cpu_utilization=0.9,temperature_c=45.",
        ),
    ] = "",
    as_json: AnswerAsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", envvar="SOCAST_MARKDOWN", help="Print Markdown, for a CI summary.")
    ] = False,
) -> None:
    """Judge MODEL: exit 0 it holds the limits, 10 it does not, 11 too little is known to say.

    A device passes where one of its processors does; all devices and SoCs must. Exit 1 is a fault (no server,
    an unknown device), 2 wrong usage.
    """
    from app.terminal import gate_markdown, gate_table
    from collectors.client import Client

    limits = dict(zip(LEVELS, (p50_us, p90_us, p95_us, p99_us), strict=True))
    request: dict[str, Any] = {
        "limits_us": {name: limit for name, limit in limits.items() if limit is not None},
        "device_ids": names(devices),
        "socs": names(socs),
    }
    if not request["limits_us"]:
        raise typer.BadParameter("give at least one limit, for example --p95-us 33000")
    if not request["device_ids"] and not request["socs"]:
        raise typer.BadParameter("give --devices or --socs")
    if processors:
        request["processors"] = names(processors)
    if context:
        request["context"] = _context(context)
    with Client(server, key) as client:
        request["model"] = {"digest": client.register_model(model)["digest"]}
        answer = client.gate(request)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    elif markdown:
        typer.echo(gate_markdown(answer, model.name))
    else:
        from rich.console import Console

        Console().print(gate_table(answer, model.name))
    raise typer.Exit(EXIT_CODES[answer["verdict"]])


def _context(text: str) -> dict[str, float]:
    found = {}
    for part in names(text):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"{part!r} is not NAME=NUMBER, for example cpu_utilization=0.9", param_hint="--context"
            ) from error
    return found
