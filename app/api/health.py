"""`/healthz`, `/readyz` and `/metrics`: for whoever runs the service; no key needed."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app import observability
from app.api.dependencies import DatabaseDep
from app.errors import UnavailableError
from app.services import fleet
from app.services.health import readiness_fault

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request, database: DatabaseDep) -> dict[str, str]:
    """Say whether the database is migrated and measurements are taken in."""
    if request.app.state.draining.is_set():
        raise UnavailableError("The server is shutting down.")
    fault = readiness_fault(database)
    if fault is not None:
        raise UnavailableError(fault)
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
def metrics(database: DatabaseDep) -> Response:
    """Return the metrics in Prometheus' text format; without a database, all but those of the fleet."""
    standing = fleet.standing(database)
    observability.DATABASE_UP.set(standing is not None)
    observability.PREDICTION_MAPE.clear()
    if standing is not None:
        observability.DEVICES.set(standing.devices)
        observability.QUARANTINED_DEVICES.set(standing.quarantined_devices)
        observability.PENDING_RUNS.set(standing.pending_runs)
        for rung, error in standing.mape_by_rung.items():
            observability.PREDICTION_MAPE.labels(rung).set(error)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
