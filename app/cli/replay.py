"""`socast replay`: predict a recorded stretch of measurements as if it were happening."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(replay)


def replay(
    trace: Annotated[Path, typer.Argument(help="NDJSON of measurement batches, gzip allowed.")],
    *,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Calm trace for the calm rung.", envvar="SOCAST_CALIBRATION"),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="Older trace with changing conditions.", envvar="SOCAST_HISTORY"),
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(help="Model (name or digest) that nothing learns from.", envvar="SOCAST_UNSEEN"),
    ] = None,
    feedback_delay_ms: Annotated[
        float,
        typer.Option(
            min=0.0, help="When a run becomes known, after its end.", envvar="SOCAST_FEEDBACK_DELAY_MS"
        ),
    ] = 0.0,
    offline_runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="First runs that serve where --calibration has none of a processor (a tenth of them).",
            envvar="SOCAST_OFFLINE_RUNS",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Write one CSV line a run.", envvar="SOCAST_PREDICTIONS"),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the report as JSON instead of a table.", envvar="SOCAST_JSON"),
    ] = False,
) -> None:
    """Predict each run of a trace from what existed when it started, then learn from it, and report."""
    from app.services.replay import ReplayOptions
    from app.services.replay import replay as run_replay

    if predictions is not None and not _writable(predictions):
        raise typer.BadParameter(f"{predictions} cannot be written", param_hint="--predictions")
    options = ReplayOptions(calibration, history, tuple(unseen or ()), feedback_delay_ms, offline_runs)
    done = run_replay(trace, options)
    if predictions is not None:
        done.write_predictions(predictions)
    for remark in done.remarks:
        typer.echo(f"socast: {remark}", err=True)
    if as_json:
        typer.echo(json.dumps(done.report(), allow_nan=False))
    else:
        _print_table(done.report())


def _writable(path: Path) -> bool:
    """Return whether a file may be put there, before an hour is spent on what goes into it."""
    return not path.is_dir() and path.parent.is_dir() and os.access(path.parent, os.W_OK)


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    rungs = list(report["all"]["rungs"])
    table = Table("runs of", "n", *rungs, title="mean absolute percentage error of whole runs")
    groups = {"all": report["all"], **report["condition"], **report["processor"], "unseen": report["unseen"]}
    groups |= {f"{place} after a change": part for place, part in report["after_change"].items()}
    for name, part in groups.items():
        if part["n"]:
            errors = [f"{part['rungs'][rung]['run']['mape']:.1%}" for rung in rungs]
            table.add_row(name, str(part["n"]), *errors)
    console = Console()
    console.print(table)
    console.print(f"{report['runs_per_s']:.0f} runs/s")
