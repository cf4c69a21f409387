"""The application: assembles settings, database, services and every router of `app.api`."""

import importlib
import pkgutil
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from types import ModuleType

from fastapi import APIRouter, FastAPI

import app.api
import app.web
from app import learner
from app.api import problems
from app.api.middleware import Observed
from app.auth import Gate
from app.services.coverage_report import CoverageService
from app.services.database import open_migrated
from app.services.fast_clock import FastClock
from app.services.gate import GateService
from app.services.ingest import Ingest
from app.services.kernels import KernelCache
from app.services.keys import KeyRing
from app.services.outcomes import OutcomeService
from app.services.plan import PlanService
from app.services.plan_feedback import PlanFeedback
from app.services.predict import PredictService
from app.services.shelf import Shelf
from app.services.situations import Situations
from app.settings import Settings
from app.store.measurements import MeasurementWriter
from app.tracing import traces
from app.web.error_page import show_error
from app.web.security import Secured

ASKED_MOST = ("predictions", "measurements", "plans")
"""Modules of `app.api` whose endpoints devices and schedulers ask all the time."""


def create_app(settings: Settings) -> FastAPI:
    """Build the service; its database opens when it starts and closes when it stops."""
    tracing = traces(settings.otlp_endpoint)

    @asynccontextmanager
    async def lifespan(service: FastAPI) -> AsyncIterator[None]:
        database = open_migrated(settings)
        shelf = Shelf()
        writer = MeasurementWriter(
            database.dialect, partition_days=settings.partition_days, on_runs=FastClock(shelf)
        )
        ingest = Ingest(database, writer, limit_bytes=settings.max_held_bytes)
        ingest.start()
        service.state.database = database
        service.state.ingest = ingest
        service.state.gate = Gate(None if settings.open else KeyRing(database), settings.rate_limit)
        service.state.shelf = shelf
        kernels = KernelCache()
        service.state.plans = PlanService(database, shelf, kernels, PlanFeedback(database))
        service.state.coverage = CoverageService(database, shelf, kernels)
        service.state.outcomes = OutcomeService(database)
        predictions = PredictService(Situations(database, shelf, kernels))
        service.state.predictions = predictions
        service.state.model_gate = GateService(database, shelf, predictions)
        try:
            with nullcontext() if settings.no_learner else learner.beside(settings):
                yield
        finally:
            service.state.draining.set()
            ingest.close()
            database.dispose()
            tracing.close()

    service = FastAPI(
        title="socast",
        version=version("socast"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=tracing.telemetry,
    )
    service.state.settings = settings
    service.state.draining = threading.Event()
    problems.install(service, show_error)
    for router in routers():
        service.include_router(router)
    service.add_middleware(Secured)
    service.add_middleware(Observed)
    return service


def routers() -> list[APIRouter]:
    """Return the router of every module of `app.api` and `app.web` that has one, in the order of trying."""
    return [*_routers_of(app.api, ASKED_MOST), *_routers_of(app.web)]


def _routers_of(package: ModuleType, first: Sequence[str] = ()) -> list[APIRouter]:
    names = {info.name for info in pkgutil.iter_modules(package.__path__) if not info.ispkg}
    modules = (
        importlib.import_module(f"{package.__name__}.{name}") for name in (*first, *sorted(names - {*first}))
    )
    return [module.router for module in modules if hasattr(module, "router")]
