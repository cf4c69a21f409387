"""What endpoints need of the running service.

These are coroutines because FastAPI hands plain functions to a thread, which costs more than a request.
"""

from typing import Annotated

from fastapi import Depends, Request

from app.services.coverage_report import CoverageService
from app.services.gate import GateService
from app.services.ingest import Ingest
from app.services.outcomes import OutcomeService
from app.services.plan import PlanService
from app.services.predict import PredictService
from app.services.shelf import Shelf
from app.settings import Settings
from app.store.engine import Database


async def _settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]


async def _database(request: Request) -> Database:
    return request.app.state.database  # type: ignore[no-any-return]


async def _ingest(request: Request) -> Ingest:
    return request.app.state.ingest  # type: ignore[no-any-return]


async def _shelf(request: Request) -> Shelf:
    return request.app.state.shelf  # type: ignore[no-any-return]


async def _plans(request: Request) -> PlanService:
    return request.app.state.plans  # type: ignore[no-any-return]


async def _outcomes(request: Request) -> OutcomeService:
    return request.app.state.outcomes  # type: ignore[no-any-return]


async def _predictions(request: Request) -> PredictService:
    return request.app.state.predictions  # type: ignore[no-any-return]


async def _coverage(request: Request) -> CoverageService:
    return request.app.state.coverage  # type: ignore[no-any-return]


async def _gate(request: Request) -> GateService:
    return request.app.state.model_gate  # type: ignore[no-any-return]


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
IngestDep = Annotated[Ingest, Depends(_ingest)]
ShelfDep = Annotated[Shelf, Depends(_shelf)]
PlansDep = Annotated[PlanService, Depends(_plans)]
OutcomesDep = Annotated[OutcomeService, Depends(_outcomes)]
PredictionsDep = Annotated[PredictService, Depends(_predictions)]
CoverageDep = Annotated[CoverageService, Depends(_coverage)]
GateDep = Annotated[GateService, Depends(_gate)]
