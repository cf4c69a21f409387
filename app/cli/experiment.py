"""`socast experiment`: the study's experiments on this machine, one command each."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.cli._options import Models, Processors, names

EXPERIMENTS = {
    "errors": "Prediction error of the offline profile and of the runtime predictor in each condition.",
    "fallback": "Operator support and fall-back ratios of each engine on each model.",
    "granularity": "Sub-graph, inter-operator, intra-operator and task scheduling beside 0 to 4 processes.",
    "overhead": "What profiling, probing, reporting and planning cost against what adapting gains.",
    "strategies": "Every strategy under every condition: predicted, measured, regretted.",
}

Minutes = Annotated[
    float, typer.Option(envvar="SOCAST_MINUTES", min=0.1, help="How long it may take, earlier runs included.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        envvar="SOCAST_OUT", help="Folder for tables, pictures and page; build/experiments/NAME if absent."
    ),
]
Seed = Annotated[int, typer.Option(envvar="SOCAST_SEED", help="Makes the order of conditions repeatable.")]
AsJson = Annotated[
    bool, typer.Option("--json", envvar="SOCAST_JSON", help="Print the figures as JSON instead of the page.")
]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The study's experiments on this machine.", no_args_is_help=True)
    for name, summary in EXPERIMENTS.items():
        group.command(name, help=summary)(_command(name))
    cli.add_typer(group, name="experiment")


def _command(name: str) -> Callable[..., None]:
    def command(
        minutes: Minutes = 10.0,
        out: Out = None,
        models: Models = "light",
        processors: Processors = "",
        seed: Seed = 0,
        as_json: AsJson = False,
    ) -> None:
        from app.experiments.experiment import Options
        from app.observability import configure_logging
        from app.termination import interrupted_on_terminate

        configure_logging("warning", "console")
        options = Options(
            folder=out or Path("build/experiments") / name,
            minutes=minutes,
            seed=seed,
            models=models,
            processors=names(processors),
        )
        with interrupted_on_terminate():
            outcome = importlib.import_module(f"app.experiments.{name}").run(options)
        typer.echo(json.dumps(outcome.summary, indent=2) if as_json else outcome.page.read_text())

    return command
