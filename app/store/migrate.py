"""Bring a database to the newest schema, or say how far behind it is."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import migrations
from app.store.engine import Database


def _config() -> Config:
    config = Config()
    # Found through the package, so that an installed wheel migrates as a checkout does.
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    return config


def head() -> str:
    """Return the newest schema revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(connection: Connection) -> str | None:
    """Return the schema revision of the database, None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, revision: str = "head") -> None:
    """Apply the missing migrations in one transaction."""
    with database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def downgrade(database: Database, revision: str) -> None:
    """Undo migrations down to `revision` (`base`: an empty database) in one transaction."""
    with database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
