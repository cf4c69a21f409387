"""Nothing that can be set or watched is undocumented."""

import re

import prometheus_client
import typer
from sqlalchemy import text

from app import observability, reference
from app.cli import build
from app.settings import Settings
from app.store.engine import Database
from app.store.tables import metadata


def test_the_page_is_current() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run `python -m app.reference`"


def test_every_setting_option_and_argument_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"setting {name}"
    for path, command in reference._leaves("socast", typer.main.get_command(build())):
        assert command.help, path
        for parameter in command.params:
            assert parameter.help, f"{path} {parameter.name}"


def test_every_option_has_a_variable() -> None:
    for path, command in reference._leaves("socast", typer.main.get_command(build())):
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                assert re.fullmatch(r"`SOCAST_[A-Z0-9_]+`", reference._variables(option)), (
                    f"{path} {option.name}"
                )


def test_every_metric_is_on_the_page() -> None:
    shown = {
        family.name for family in prometheus_client.REGISTRY.collect() if family.name.startswith("socast_")
    }
    declared = {
        metric._name
        for metric in vars(observability).values()
        if isinstance(metric, prometheus_client.metrics.MetricWrapperBase)
    }
    assert shown == declared
    assert all(f"`{name}" in reference.page() for name in shown)


def test_the_sql_that_operators_are_shown_works(sqlite_url: str) -> None:
    shown = re.findall(r"```sql\n(.*?)```", (reference.PAGE.parent / "operators.md").read_text(), re.S)
    statements = [part for block in shown for part in block.split(";") if part.strip()]
    assert len(statements) >= 2
    database = Database(sqlite_url)
    with database.read() as connection:
        for statement in statements:
            connection.execute(text(statement)).all()
    database.dispose()


def test_every_column_is_explained() -> None:
    text_of = (reference.PAGE.parent / "database.md").read_text()
    starts = {name: text_of.find(f"\n`{name}`:") for name in metadata.tables}
    starts |= {name: text_of.find(f". `{name}`:") for name, at in starts.items() if at < 0}
    assert [name for name, at in starts.items() if at < 0] == []
    for name, table in metadata.tables.items():
        following = [at for at in starts.values() if at > starts[name]]
        section = text_of[starts[name] : min(following, default=len(text_of))]
        missing = [column.name for column in table.columns if f"`{column.name}`" not in section]
        assert missing == [], name
