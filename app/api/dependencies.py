"""What endpoints need of the running service.

They are coroutines because FastAPI hands plain functions to a thread, which costs more than a request.
"""

from typing import Annotated, Any

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


def _part(name: str) -> Any:  # noqa: ANN401
    """Return the dependency on a part that the running service keeps under a name."""

    async def part(request: Request) -> Any:  # noqa: ANN401
        return getattr(request.app.state, name)

    return Depends(part)


SettingsDep = Annotated[Settings, _part("settings")]
DatabaseDep = Annotated[Database, _part("database")]
IngestDep = Annotated[Ingest, _part("ingest")]
ShelfDep = Annotated[Shelf, _part("shelf")]
PlansDep = Annotated[PlanService, _part("plans")]
OutcomesDep = Annotated[OutcomeService, _part("outcomes")]
PredictionsDep = Annotated[PredictService, _part("predictions")]
CoverageDep = Annotated[CoverageService, _part("coverage")]
GateDep = Annotated[GateService, _part("model_gate")]
