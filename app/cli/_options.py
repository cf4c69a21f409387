"""Options that several commands have, and how lists among them are written."""

from typing import Annotated

import typer

Server = Annotated[str, typer.Option(envvar="SOCAST_SERVER", help="Address of the service.")]
SchedulerKey = Annotated[str | None, typer.Option(envvar="SOCAST_KEY", help="API key (scheduler).")]
AnswerAsJson = Annotated[bool, typer.Option("--json", envvar="SOCAST_JSON", help="Print the answer.")]
DatabaseUrl = Annotated[str | None, typer.Option(envvar="SOCAST_DATABASE", help="Database URL.")]
Models = Annotated[
    str, typer.Option(envvar="SOCAST_MODELS", help="'light', or a folder of .onnx files, or one file.")
]
Processors = Annotated[
    str, typer.Option(envvar="SOCAST_PROCESSORS", help="Such as cpu:0,cpu:1; the first four cores if empty.")
]


def names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
