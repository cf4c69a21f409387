"""`socast predictors`: look at the versions of predictors, pin one, roll back."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from app.cli._options import Server

Key = Annotated[str | None, typer.Option(envvar="SOCAST_KEY", help="API key (analyst; admin to change).")]
VersionId = Annotated[int, typer.Argument(help="The version's number, as listed.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    predictors = typer.Typer(
        no_args_is_help=True, help="List, show, export, pin and roll back predictor versions."
    )
    predictors.command("list")(list_)
    predictors.command()(show)
    predictors.command()(export)
    predictors.command()(pin)
    predictors.command()(rollback)
    cli.add_typer(predictors, name="predictors")


def list_(server: Server, key: Key = None) -> None:
    """List every version, newest first."""
    from rich.console import Console
    from rich.table import Table

    from collectors.client import Client

    with Client(server, key) as client:
        items = client.predictors()["items"]
    table = Table()
    for title in ("id", "SoC", "processor", "framework", "serving", "pinned", "created", "trees", "why"):
        table.add_column(title)
    for item in items:
        table.add_row(
            str(item["id"]),
            item["soc"],
            item["processor"],
            item["framework"],
            "yes" if item["serving"] else "",
            "yes" if item["pinned"] else "",
            item["created_at"],
            _trees(item["metrics"]),
            item["reason"],
        )
    Console().print(table)


def _trees(metrics: Mapping[str, int]) -> str:
    """Say how many trees predict, and how many of them were appended; nothing where that is not known."""
    trees, appended = metrics.get("trees"), metrics.get("appended_trees")
    return "" if not trees else f"{trees - appended} + {appended}" if appended else str(trees)


def show(version: VersionId, server: Server, key: Key = None) -> None:
    """Print one version: why it was fitted, on what, and how well it did."""
    from collectors.client import Client

    with Client(server, key) as client:
        typer.echo(json.dumps(client.predictor(version), indent=2))


def export(
    version: VersionId,
    server: Server,
    out: Annotated[
        Path, typer.Option(envvar="SOCAST_OUT", help="Folder for calm.onnx, runtime.onnx and predictor.json.")
    ],
    key: Key = None,
) -> None:
    """Write one version as ONNX graphs, to predict without asking the service."""
    from collectors.client import Client

    with Client(server, key) as client:
        archive = client.predictor_onnx(version)
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        for name in ("calm.onnx", "runtime.onnx", "predictor.json"):
            (out / name).write_bytes(files.read(name))
            typer.echo(str(out / name))


def pin(version: VersionId, server: Server, key: Key = None) -> None:
    """Keep serving this version until another is pinned or it is rolled back."""
    from collectors.client import Client

    with Client(server, key) as client:
        typer.echo(json.dumps(client.pin_predictor(version), indent=2))


def rollback(version: VersionId, server: Server, key: Key = None) -> None:
    """Withdraw this version; the one before it serves again."""
    from collectors.client import Client

    with Client(server, key) as client:
        typer.echo(json.dumps(client.roll_back_predictor(version), indent=2))
