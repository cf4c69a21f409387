"""What endpoints need of the running service."""

from typing import Annotated

from fastapi import Depends, Request

from app.services.ingest import Ingest
from app.settings import Settings
from app.store.engine import Database


def _settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


def _database(request: Request) -> Database:
    return request.app.state.database  # type: ignore[no-any-return]


def _ingest(request: Request) -> Ingest:
    return request.app.state.ingest  # type: ignore[no-any-return]


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
IngestDep = Annotated[Ingest, Depends(_ingest)]
