"""Whether the service can do its work."""

from app.store import migrate
from app.store.engine import Database


def readiness_fault(database: Database) -> str | None:
    """Return why the database cannot be used, None when it can."""
    try:
        with database.read() as connection:
            current = migrate.current(connection)
    except Exception as error:  # noqa: BLE001
        return f"The database does not answer ({type(error).__name__})."
    if current != migrate.head():
        need = migrate.head()
        return f"The database schema is {current or 'empty'}, this server needs {need}: `socast db upgrade`."
    return None
