"""`socast plan`: ask for partition plans of a model file."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli._options import AnswerAsJson, SchedulerKey, Server


class Objective(StrEnum):
    """What plans are ranked by."""

    MEAN = "mean"
    P90 = "p90"
    P99 = "p99"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(plan)


def plan(
    model: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An ONNX file.")],
    server: Server,
    device: Annotated[str, typer.Option(envvar="SOCAST_DEVICE", help="Device to plan for.")],
    key: SchedulerKey = None,
    objective: Annotated[
        Objective, typer.Option(envvar="SOCAST_OBJECTIVE", help="What plans are ranked by.")
    ] = Objective.MEAN,
    strategy: Annotated[
        list[str] | None, typer.Option(envvar="SOCAST_STRATEGY", help="Only this strategy; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(envvar="SOCAST_OUT", help="Draw the best plan's timeline into this file: .svg or .png."),
    ] = None,
    as_json: AnswerAsJson = False,
) -> None:
    """Upload MODEL and print its partition plans for DEVICE, in its present context."""
    from collectors.client import Client

    if out is not None and out.suffix.lower() not in {".svg", ".png"}:
        raise typer.BadParameter("the drawing's file must end in .svg or .png", param_hint="--out")
    with Client(server, key) as client:
        digest = client.register_model(model)["digest"]
        request: dict[str, Any] = {
            "models": [{"digest": digest}],
            "device_id": device,
            "objective": objective.value,
        }
        if strategy:
            request["strategies"] = strategy
        answer = client.plan(request)
    from app.planning.drawing import bars_of_answer, png, svg
    from app.planning.drawing import terminal as draw_terminal

    drawn = bars_of_answer(answer["plans"][0]) if answer["plans"] else []
    if out is not None:
        out.write_bytes(png(drawn) if out.suffix.lower() == ".png" else svg(drawn).encode())
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from rich.console import Console

    from app.terminal import plan_table

    console = Console()
    console.print(plan_table(answer))
    if drawn:
        console.print(draw_terminal(drawn, console.width), markup=False, highlight=False, soft_wrap=True)
    for item in answer["impossible"]:
        console.print(f"{item['strategy']}: {item['reason']}")
