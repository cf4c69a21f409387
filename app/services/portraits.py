"""Everything known about one device, or one model."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import NotFoundError, SocastError
from app.services.error_views import ErrorView
from app.services.predict import Prediction, PredictService, Question
from app.services.situations import Subject
from app.store import devices, journal, models, plans, runs
from app.store.devices import DeviceInfo
from app.store.engine import Database
from app.store.journal import Event, EventFilter
from app.store.plans import StoredPlan
from app.store.reports import ErrorFilter
from app.store.runs import RunFilter, RunInfo
from predictors import cost
from predictors.graph import ModelGraph

SHOWN_RUNS = 12
SHOWN_PLANS = 8
SHOWN_EVENTS = 10
MODEL_RUNS = 300
MOST_MODELS = 500


@dataclass(frozen=True, slots=True)
class DevicePortrait:
    """A device with its newest runs, plans and events, and the errors of predictions for it."""

    device: DeviceInfo
    runs: Sequence[RunInfo]
    plans: Sequence[StoredPlan]
    events: Sequence[Event]
    errors: ErrorView


@dataclass(frozen=True, slots=True)
class ModelPortrait:
    """A model: its graph where the file was uploaded, newest runs, errors, and predictions by processor.

    `predictions` are for the device that it ran on last, else the one heard of last.
    """

    digest: str
    name: str
    graph: ModelGraph | None
    runs: Sequence[RunInfo]
    errors: ErrorView
    device_id: str | None
    predictions: Sequence[tuple[str, Prediction]]

    @property
    def macs(self) -> float:
        """Multiply-accumulates of one inference."""
        return sum(cost.macs(node.operator) for node in self.graph.nodes) if self.graph else 0.0

    @property
    def weight_bytes(self) -> float:
        """Size of all constants."""
        tensors = self.graph.tensors.values() if self.graph else ()
        return sum(tensor.size_bytes for tensor in tensors if tensor.constant)


def device(database: Database, device_id: str) -> DevicePortrait:
    """Return a device's portrait; raise `NotFoundError`."""
    with database.read() as connection:
        found = devices.get_device(connection, device_id)
        if found is None:
            raise NotFoundError(f"No device {device_id!r} has sent anything; see the list of devices.")
        return DevicePortrait(
            device=found,
            runs=runs.list_runs(connection, RunFilter(device_id=device_id), limit=SHOWN_RUNS),
            plans=plans.latest_plans(connection, device_id, SHOWN_PLANS),
            events=journal.list_events(connection, EventFilter(device_id=device_id), limit=SHOWN_EVENTS),
            errors=ErrorView(
                connection, ErrorFilter(device_id=device_id), ("condition", "processor", "model", "hour")
            ),
        )


def model(database: Database, predictions: PredictService, digest: str) -> ModelPortrait:
    """Return a model's portrait; raise `NotFoundError` when neither its file nor a run of it was sent."""
    with database.read() as connection:
        graph = models.get_graph(connection, digest)
        newest = runs.list_runs(connection, RunFilter(model=digest), limit=MODEL_RUNS)
        if graph is None and not newest:
            raise NotFoundError(f"No model {digest} was uploaded, and no run of it was sent.")
        name = newest[0].model_name if newest else graph.name if graph else digest
        errors = ErrorView(connection, ErrorFilter(model=digest), ("condition", "processor"))
        last = devices.list_by_last_seen(connection, 1)
        device_id = newest[0].device_id if newest else last[0].device_id if last else None
        found = devices.get_device(connection, device_id) if device_id is not None else None
    processors = [processor.name for processor in found.processors] if found else []
    answers = [(place, _predict(predictions, digest, device_id or "", place)) for place in processors]
    known = [(place, answer) for place, answer in answers if answer is not None]
    return ModelPortrait(digest, name, graph, newest, errors, device_id, known)


def known_models(database: Database) -> list[tuple[str, str, bool]]:
    """Return (digest, name, whether its file was uploaded) of every model with a digest."""
    with database.read() as connection:
        uploaded = dict(models.list_graphs(connection)[:MOST_MODELS])
        named = {digest: name for digest, name in models.list_names(connection, MOST_MODELS) if digest}
    return [(digest, name, digest in uploaded) for digest, name in {**named, **uploaded}.items()]


def _predict(service: PredictService, digest: str, device_id: str, processor: str) -> Prediction | None:
    subject = Subject(processor=processor, device_id=device_id, soc=None, framework=None, digest=digest)
    try:
        return service.predict(Question(subject))
    except SocastError:
        return None  # Nothing was learned for it, or its kernels are not known yet.
