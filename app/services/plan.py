"""Partition plans for models on a device as it stands now."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.errors import Fault, InvalidRequestError
from app.planning import planner
from app.planning.learned_costs import LearnedCosts
from app.planning.plan import Plan
from app.planning.problem import ModelRequest
from app.planning.problem import Processor as PlannedProcessor
from app.planning.request import Impossible, Objective, PlanningRequest
from app.planning.strategy import all_strategies
from app.services import targets
from app.services.explore import Choice, Exploring, choose
from app.services.kernels import KernelCache
from app.services.operator_support import ProcessorSupport, support_of
from app.services.plan_costs import PredictedCosts
from app.services.plan_coverage import plan_coverage
from app.services.plan_feedback import PlanFeedback
from app.services.plan_log import PlanLog
from app.services.recent_error import RecentError, RungError
from app.services.shelf import Shelf
from app.services.targets import Processor, Target
from app.store import operators, support
from app.store.engine import Database
from predictors.forecast import Coverage, Rung
from predictors.fusion import KernelGraph
from predictors.graph import Shape


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
    exploring: Exploring | None = None


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """Ranked plans, what could not be planned and why, and what the answer rests on.

    `choice` is the plan to run; `learned` and `support` are what executed plans and runs have taught of the
    `used` processors, `coverage` what their predictors know of the models asked for.
    """

    plans: Sequence[Plan]
    impossible: Sequence[Impossible]
    choice: Choice | None
    target: Target
    used: Sequence[Processor]
    recent_error: Mapping[str, RungError]
    learned: LearnedCosts
    support: Mapping[str, ProcessorSupport]
    coverage: Mapping[str, Mapping[Rung, Coverage]]


class PlanService:
    """Answers plan requests and keeps every plan that it handed out.

    Recent errors are remembered for a few seconds.
    """

    def __init__(
        self, database: Database, shelf: Shelf, kernels: KernelCache, feedback: PlanFeedback
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._kernels = kernels
        self._recent_error = RecentError()
        self._feedback = feedback
        self._log = PlanLog(database)

    def answer(self, question: PlanQuestion, request: Mapping[str, Any]) -> PlanAnswer:
        """Plan, and store plans not handed out before with the `request` as it came.

        Raises `NotFoundError` (device, model) or `InvalidRequestError` (names that do not exist).
        """
        answer = self._plan(question)
        factors = {name: stages.factor for name, stages in answer.learned.stages.items()}
        self._log.keep(
            answer.plans,
            answer.choice,
            factors,
            device_id=question.device_id,
            request=request,
            by_runtime=question.rung is Rung.RUNTIME,
        )
        return answer

    def preview(self, question: PlanQuestion) -> PlanAnswer:
        """Plan as `answer` does, for somebody who only looks: nothing is stored."""
        return self._plan(question)

    def _timed_dtypes(self, processor_id: int) -> set[str]:
        with self._database.read() as connection:
            return operators.timed_dtypes(connection, processor_id)

    def _plan(self, question: PlanQuestion) -> PlanAnswer:
        with self._database.read() as connection:
            target = targets.resolve(
                connection,
                self._shelf,
                device_id=question.device_id,
                soc=question.soc,
                context=question.context,
                named=question.processors,
            )
            used = _chosen(target, question)
            framework = used[0].key.framework if used else ""
            graphs = [
                self._kernels.graph(
                    connection, model.digest, framework=framework, input_shapes=model.input_shapes
                )
                for model in question.models
            ]
            told = support.of_soc(connection, target.soc)
            recent_error = self._recent_error.get(connection, target.device_id)
        networks = {
            model.digest: tuple(graph.operators) for model, graph in zip(question.models, graphs, strict=True)
        }
        answer = PlanAnswer(
            plans=[],
            impossible=[],
            choice=None,
            target=target,
            used=used,
            recent_error=recent_error,
            learned=self._feedback.learned(target.soc, {place.info.name: place.info.kind for place in used}),
            support={
                place.info.name: support_of(
                    place.info.unsupported,
                    question.unsupported.get(place.info.name),
                    told.get((place.info.name, place.key.framework), {}),
                )
                for place in used
            },
            coverage=plan_coverage(used, networks),
        )
        if not used:
            return replace(answer, impossible=_no_processor(question))
        costs = PredictedCosts(
            replace(target, processors=tuple(used)),
            learned=answer.learned,
            model=question.models[0].digest,
            kernels=networks[question.models[0].digest],
            started_at_us=time.time_ns() // 1000,
            timed_dtypes=self._timed_dtypes,
            contexts=question.contexts,
            rung=question.rung,
        )
        request = PlanningRequest(
            models=_models(question.models, graphs),
            processors=[_planned(place, answer.support[place.info.name]) for place in used],
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
        asked = question.device_id or target.soc
        own = [replace(plan, plan_id=_id_for(asked, plan.plan_id)) for plan in result.plans]
        return replace(
            answer, plans=own, impossible=result.impossible, choice=choose(own, question.exploring)
        )


def _id_for(asked: str, plan_id: str) -> str:
    """Return a plan's name on what was asked for: an outcome then tells where it ran."""
    return hashlib.sha256(f"{plan_id} {asked}".encode()).hexdigest()[:24]


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


def _planned(place: Processor, supported: ProcessorSupport) -> PlannedProcessor:
    info = place.info
    resources = frozenset(info.resources or (info.name,))
    return PlannedProcessor(info.name, info.kind, resources, frozenset(supported.unsupported))


def _models(models: Sequence[ModelToPlan], graphs: Sequence[KernelGraph]) -> list[ModelRequest]:
    return [
        ModelRequest(graph, model.deadline_us, model.period_us, model.release_us, model.after)
        for model, graph in zip(models, graphs, strict=True)
    ]


def _no_processor(question: PlanQuestion) -> list[Impossible]:
    reason = "it told of no processor yet; its agent must send runs first"
    return [Impossible(name, reason) for name in question.strategies or all_strategies()]
