"""Partition plans for models on a device as it stands now."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import to_builtins

from app.errors import Fault, InvalidRequestError
from app.planning import planner
from app.planning.plan import Plan
from app.planning.planner import Impossible, Objective, PlanningRequest
from app.planning.problem import ModelRequest
from app.planning.problem import Processor as PlannedProcessor
from app.planning.strategy import all_strategies
from app.services import targets
from app.services.kernels import KernelCache
from app.services.plan_costs import PredictedCosts, measured_copies
from app.services.recent_error import RecentError, RungError
from app.services.shelf import Shelf
from app.services.targets import Processor, Target
from app.store import operators, plans
from app.store.engine import Database
from predictors.forecast import Rung
from predictors.fusion import KernelGraph
from predictors.graph import Shape

REMEMBERED_PLANS = 10_000


@dataclass(frozen=True, slots=True)
class ModelToPlan:
    """One model of a request, by digest; the rest as in `planning.problem.ModelRequest`.

    `input_shapes` binds other shapes than the file was uploaded with.
    """

    digest: str
    deadline_us: float | None = None
    period_us: float | None = None
    release_us: float = 0.0
    after: tuple[int, ...] = ()
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanQuestion:
    """What a scheduler asks; give `device_id` or `soc`. Empty selections mean everything.

    `contexts` holds contexts of single processors by name, where they are known apart: they replace the
    common one. `rung` is the predictor that proposes and ranks.
    """

    models: Sequence[ModelToPlan]
    device_id: str | None = None
    soc: str | None = None
    context: Mapping[str, float | bool] | None = None
    contexts: Mapping[str, Mapping[str, float | bool]] = field(default_factory=dict)
    rung: Rung = Rung.RUNTIME
    objective: Objective = "mean"
    granularities: Sequence[str] = ()
    strategies: Sequence[str] = ()
    processors: Sequence[str] = ()
    unsupported: Mapping[str, Sequence[str]] = field(default_factory=dict)
    memory_cap_bytes: float | None = None
    max_share: Mapping[str, float] = field(default_factory=dict)
    budget_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """Ranked plans, what could not be planned and why, and what the answer rests on.

    `unavailable` names processors left out because nothing was learned for them yet.
    """

    plans: Sequence[Plan]
    impossible: Sequence[Impossible]
    target: Target
    used: Sequence[Processor]
    unavailable: Sequence[str]
    recent_error: Mapping[str, RungError]


class PlanService:
    """Answers plan requests and keeps every plan that it handed out.

    Recent errors are remembered for a few seconds, and which plans are stored already.
    """

    def __init__(self, database: Database, shelf: Shelf, kernels: KernelCache) -> None:
        self._database = database
        self._shelf = shelf
        self._kernels = kernels
        self._recent_error = RecentError()
        self._stored: OrderedDict[str, None] = OrderedDict()

    def answer(self, question: PlanQuestion, request: Mapping[str, Any]) -> PlanAnswer:
        """Plan, and store plans not handed out before with the `request` as it came.

        Raises `NotFoundError` (device, model) or `InvalidRequestError` (names that do not exist).
        """
        answer = self._plan(question)
        self._store([plan for plan in answer.plans if plan.plan_id not in self._stored], question, request)
        return answer

    def _timed_dtypes(self, processor_id: int) -> set[str]:
        with self._database.read() as connection:
            return operators.timed_dtypes(connection, processor_id)

    def _store(self, new: Sequence[Plan], question: PlanQuestion, request: Mapping[str, Any]) -> None:
        if not new:
            return
        with self._database.write() as connection:
            plans.put_plans(connection, request, question.device_id, [to_builtins(plan) for plan in new])
        self._stored.update(dict.fromkeys(plan.plan_id for plan in new))
        while len(self._stored) > REMEMBERED_PLANS:
            self._stored.popitem(last=False)

    def _plan(self, question: PlanQuestion) -> PlanAnswer:
        with self._database.read() as connection:
            target = targets.resolve(
                connection,
                self._shelf,
                device_id=question.device_id,
                soc=question.soc,
                context=question.context,
            )
            chosen = _chosen(target, question)
            used = [place for place in chosen if place.serving is not None]
            unavailable = [place.info.name for place in chosen if place.serving is None]
            framework = used[0].key.framework if used else ""
            graphs = [
                self._kernels.graph(
                    connection, model.digest, framework=framework, input_shapes=model.input_shapes
                )
                for model in question.models
            ]
            copies = measured_copies(connection, used)
            recent_error = self._recent_error.get(connection, target.device_id)
        if not used:
            return PlanAnswer([], _nothing_learned(question), target, [], unavailable, recent_error)
        costs = PredictedCosts(
            replace(target, processors=tuple(used)),
            copies=copies,
            model=question.models[0].digest,
            kernels=graphs[0].operators,
            started_at_us=time.time_ns() // 1000,
            timed_dtypes=self._timed_dtypes,
            contexts=question.contexts,
            rung=question.rung,
        )
        request = PlanningRequest(
            models=_models(question.models, graphs),
            processors=[_planned(place, question.unsupported) for place in used],
            costs=costs,
            objective=question.objective,
            granularities=question.granularities,
            strategies=question.strategies,
            memory_cap_bytes=question.memory_cap_bytes,
            max_share=question.max_share,
            budget_ms=question.budget_ms,
        )
        try:
            result = planner.plan(request)
        except ValueError as error:
            raise InvalidRequestError(str(error), faults=(Fault("", str(error)),)) from error
        return PlanAnswer(result.plans, result.impossible, target, used, unavailable, recent_error)


def _chosen(target: Target, question: PlanQuestion) -> list[Processor]:
    """Return the processors to plan for, checking every name that the request uses."""
    names = {place.info.name for place in target.processors}
    for pointer, wanted in (
        ("/processors", question.processors),
        ("/contexts", question.contexts),
        ("/support", question.unsupported),
        ("/max_share", question.max_share),
    ):
        unknown = sorted(set(wanted) - names)
        if unknown:
            detail = f"{target.soc} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}."
            raise InvalidRequestError(detail, faults=(Fault(pointer, detail),))
    return [
        place
        for place in target.processors
        if not question.processors or place.info.name in question.processors
    ]


def _planned(place: Processor, unsupported: Mapping[str, Sequence[str]]) -> PlannedProcessor:
    info = place.info
    missing = unsupported.get(info.name, info.unsupported)
    return PlannedProcessor(
        info.name, info.kind, frozenset(info.resources or (info.name,)), frozenset(missing)
    )


def _models(models: Sequence[ModelToPlan], graphs: Sequence[KernelGraph]) -> list[ModelRequest]:
    return [
        ModelRequest(graph, model.deadline_us, model.period_us, model.release_us, model.after)
        for model, graph in zip(models, graphs, strict=True)
    ]


def _nothing_learned(question: PlanQuestion) -> list[Impossible]:
    reason = "nothing was learned for these processors yet; an agent must send calm runs first"
    return [Impossible(name, reason) for name in question.strategies or all_strategies()]
