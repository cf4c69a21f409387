"""Every setting, command and metric, written from the code into `docs/configuration.md`.

`python -m app.reference` rewrites that page; a test fails when it is out of date or a help text is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined

from app import observability
from app.cli import build
from app.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

Settings come from the environment; options of the command line win over them. This page is written from the \
code by `python -m app.reference`: change the texts there.
"""

OTHER_VARIABLES = """\
## Other environment variables

| variable | meaning |
|---|---|
| `SOCAST_TEST_POSTGRES_URL` | tests and benchmarks use this PostgreSQL server instead of one from a wheel |
| `SOCAST_TRACES` | folder of development traces for tests and accuracy tables |
| `SOCAST_BENCH_SECONDS` | how long `make bench` saturates each database (default 10) |
| `SOCAST_BENCH_RUNS` | runs of the month that `make bench ARGS=reports` reads reports of (default 1000000) |
| `SOCAST_TEST_BROWSER_REQUIRED` | without a browser the tests of the pages fail instead of skipping |
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_settings(), OTHER_VARIABLES, *_commands(), *_metrics()])


def _settings() -> Iterator[str]:
    yield "## Settings of the service\n"
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{field.default}`"
        yield f"| `SOCAST_{name.upper()}` | {default} | {_cell(field.description)} |"
    yield ""


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Every option can also be given by the variable beside it. Exit codes: 0 done, 1 a fault worth a"
    yield "message, 2 wrong usage (`socast gate` also 10 and 11). Messages go to stderr, data to stdout.\n"
    for path, command in _leaves("socast", typer.main.get_command(build())):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        yield f"### {' '.join([path, *(a.metavar or a.name.upper() for a in arguments)])}\n"
        yield f"{_cell(command.help)}\n"
        yield from (f"- `{a.metavar or a.name.upper()}`: {_cell(a.help)}\n" for a in arguments)
        if options:
            yield "| option | variable | meaning |"
            yield "|---|---|---|"
        for option in options:
            flags = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
            yield f"| {flags} | {_variables(option)} | {_cell(option.help)} |"
        yield ""


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name in sorted(command.commands):
        yield from _leaves(f"{path} {name}", command.commands[name])


def _variables(option: Any) -> str:  # noqa: ANN401
    given = option.envvar
    names = [given] if isinstance(given, str) else list(given or [])
    return ", ".join(f"`{name}`" for name in names)


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "`/metrics` shows these, and those of the Python process, in Prometheus' text format.\n"
    yield "| metric | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for name, value in sorted(vars(observability).items()):
        if name.isupper() and hasattr(value, "describe"):
            yield from _metric(value)


def _metric(collector: Any) -> Iterator[str]:  # noqa: ANN401
    labels = ", ".join(f"`{label}`" for label in collector._labelnames)
    for family in collector.describe():
        suffix = "_total" if family.type == "counter" else ""
        yield f"| `{family.name}{suffix}` | {family.type} | {labels} | {_cell(family.documentation)} |"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
