"""The `socast` command: one module a command, discovered by being in this package.

A command module offers `register(cli)`, and imports what it needs inside the command, so that
`socast agent` never pays for the service's libraries nor `socast serve` for the agent's.
"""

import importlib
import pkgutil
import sys

import typer

from app.errors import SocastError
from collectors.errors import CollectorError


def build() -> typer.Typer:
    """Assemble the command line from every module of this package."""
    cli = typer.Typer(
        name="socast",
        help="How long a neural network takes on this processor, now.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    # A callback keeps the command's name on the line, however few commands there are.
    cli.callback()(lambda: None)
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"{__name__}.{module}").register(cli)
    return cli


def main() -> None:
    """Run the command line: exit 0 when done, 1 on a fault worth a message, 2 on wrong usage."""
    try:
        build()()
    except (SocastError, CollectorError) as error:
        sys.stderr.write(f"socast: {error}\n")
        sys.exit(1)
