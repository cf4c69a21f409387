"""`socast import`: hand in what other tools measured."""

import gzip
import hashlib
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli._options import Server

if TYPE_CHECKING:
    from collectors.client import Client, Receipt
    from collectors.importers.importer import Importer, Origin


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("import")(import_file)


def import_file(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="onnxruntime, tflite or trace.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What the other tool wrote.")],
    server: Server,
    key: Annotated[str | None, typer.Option(envvar="SOCAST_KEY", help="API key (agent).")] = None,
    device: Annotated[
        str | None, typer.Option(envvar="SOCAST_DEVICE", help="The device that was measured.")
    ] = None,
    soc: Annotated[str | None, typer.Option(envvar="SOCAST_SOC", help="Its SoC.")] = None,
    processor: Annotated[
        str | None, typer.Option(envvar="SOCAST_PROCESSOR", help="Where it ran, such as cpu-big or gpu.")
    ] = None,
    framework: Annotated[
        str | None, typer.Option(envvar="SOCAST_FRAMEWORK", help="Name and version, such as tflite 2.18.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar="SOCAST_MODEL", help="What ran: its file (for its digest) or name."),
    ] = None,
    condition: Annotated[
        str | None, typer.Option(envvar="SOCAST_CONDITION", help="Label of the condition, for reports.")
    ] = None,
    started_at: Annotated[
        datetime | None,
        typer.Option(
            envvar="SOCAST_STARTED_AT",
            formats=["%Y-%m-%dT%H:%M:%S%z"],
            help="Start of the first run; else the file's time of change counts as its end.",
        ),
    ] = None,
) -> None:
    """Send a file of measurements to a service; importing it again changes nothing."""
    from collectors.client import Client
    from collectors.importers import importers
    from collectors.importers.importer import Origin

    known = importers()
    if format_ not in known:
        lines = "; ".join(f"{name}: {importer.description}" for name, importer in known.items())
        raise typer.BadParameter(f"unknown format {format_!r}. {lines}.", param_hint="FORMAT")
    name, digest = _model(model)
    origin = Origin(device, soc, processor, framework, name, digest, condition, started_at)
    with Client(server, key) as client:
        _send(client, known[format_], file, origin)


def _model(given: str | None) -> tuple[str | None, str | None]:
    """Return a model's name and digest; the digest of a file only."""
    if given is None or not Path(given).is_file():
        return given, None
    return Path(given).stem, "sha256:" + hashlib.sha256(Path(given).read_bytes()).hexdigest()


def _send(client: "Client", importer: "Importer", file: Path, origin: "Origin") -> None:
    accepted = duplicates = 0
    rejected: list[str] = []
    for number, batch in enumerate(importer.batches(file, origin)):
        receipt: Receipt = client.upload(gzip.compress(batch, 1))
        accepted += receipt.accepted.get("runs", 0)
        duplicates += receipt.duplicates.get("runs", 0)
        rejected += [f"batch {number} {item.pointer}: {item.detail}" for item in receipt.rejected]
    for line in rejected:
        sys.stderr.write(f"rejected {line}\n")
    sys.stdout.write(f"{accepted} runs accepted, {duplicates} known before, {len(rejected)} rejected\n")
    if rejected:
        raise typer.Exit(1)
