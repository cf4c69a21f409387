"""What an answer says of one plan: its works as stages, what they use, and what it rests on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from app.planning import usage
from app.planning.bounds import lower_bound_us
from app.planning.contention import moved_bytes
from app.planning.distribution import Floats
from app.planning.effort import Effort
from app.planning.fallback import fallback_of
from app.planning.periods import Jobs
from app.planning.plan import Draft, Fallback, Plan, Stage, Usage
from app.planning.problem import Problem
from app.planning.request import PlanningRequest
from app.planning.scoring import Scored
from app.planning.strategy import Granularity, Strategy
from app.planning.timeline import Timeline, offline_latency_us


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an answer says of a plan's works, whatever strategy proposed them."""

    offline_latency_us: float
    fallback: Fallback
    peak_memory_bytes: float
    processors: Mapping[str, Usage]
    stages: tuple[Stage, ...]


class Describer:
    """Turns scored drafts into plans under one request."""

    def __init__(self, problem: Problem, request: PlanningRequest, jobs: Jobs) -> None:
        self._problem = problem
        self._request = request
        self._jobs = jobs
        self._bounds: dict[bool, float] = {}
        self._facts: dict[int, _Facts] = {}

    def describe(self, item: Scored, effort: Effort) -> Plan:
        """Return the plan, but for what compares it with others."""
        timeline, draft = item.timeline, item.timeline.draft
        strategy = item.strategy
        bound = self._bound_us(splits=strategy.granularity is Granularity.INTRA_OPERATOR)
        facts = self._facts_of(item)
        return Plan(
            plan_id=_plan_id(self._problem, strategy, draft),
            strategy=strategy.name,
            granularity=strategy.granularity.value,
            latency_us=item.latency_us,
            offline_latency_us=facts.offline_latency_us,
            deadline_met=self._deadlines(timeline, item.ends_us),
            speedup_over_best_single=None,
            fallback=facts.fallback,
            transfer_us=timeline.transfer_us,
            peak_memory_bytes=facts.peak_memory_bytes,
            processors=facts.processors,
            bound_us=min(bound, timeline.latency_us) if draft.scale else bound,
            requires_retraining=draft.requires_retraining,
            stages=facts.stages,
            mappings=tuple(model.kernels.mapping for model in self._request.models),
            stopped_early=effort.stopped_early,
            note="; ".join(filter(None, (draft.note, self._jobs.note))),
        )

    def _facts_of(self, item: Scored) -> _Facts:
        """Return what is said of a plan's works, once for all plans with the same ones."""
        found = self._facts.get(id(item.ends_us))
        if found is None:
            problem, timeline = self._problem, item.timeline
            found = self._facts[id(item.ends_us)] = _Facts(
                offline_latency_us(problem, timeline),
                fallback_of(problem, timeline),
                usage.peak_memory_bytes(problem, timeline),
                usage.shares(problem, timeline),
                _stages(problem, timeline, self._jobs),
            )
        return found

    def _bound_us(self, *, splits: bool) -> float:
        if splits not in self._bounds:
            self._bounds[splits] = lower_bound_us(self._problem, splits=splits)
        return self._bounds[splits]

    def _deadlines(self, timeline: Timeline, ends: Floats) -> tuple[float | None, ...]:
        """Return, for each requested model, the chance that its jobs meet their deadline (their mean)."""
        problem = self._problem
        job_of = np.array([problem.kernels[work.kernels[0]].model for work in timeline.draft.works])
        met: list[list[float]] = [[] for _ in self._request.models]
        for job, request in enumerate(problem.models):
            if request.deadline_us is not None:
                finish = ends[job_of == job].max(axis=0, initial=0.0)
                late = finish - request.release_us > request.deadline_us
                met[self._jobs.model_of[job]].append(float(1.0 - late.mean()))
        return tuple(sum(chances) / len(chances) if chances else None for chances in met)


def _stages(problem: Problem, timeline: Timeline, jobs: Jobs) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            id=place,
            model=jobs.model_of[problem.kernels[work.kernels[0]].model],
            operators=tuple(name for index in work.kernels for name in problem.kernels[index].covers),
            processor=problem.processors[work.processor].name,
            split=work.split,
            start_us=timeline.start_us[place],
            end_us=timeline.end_us[place],
            after=timeline.waits[place],
            compute_us=_compute_us(problem, timeline, place),
            moved_bytes=moved_bytes(problem, timeline, place),
            reads=_reads(problem, timeline, place),
        )
        for place, work in enumerate(timeline.draft.works)
    )


def _compute_us(problem: Problem, timeline: Timeline, place: int) -> float:
    """Return what a work takes alone beyond dispatch and copies: its kernels, and joining rows."""
    alone = sum(timeline.kernels_us[place]) / (timeline.slowed[place] if timeline.slowed else 1.0)
    dispatch_us = problem.costs.dispatch_us[timeline.draft.works[place].processor]
    copied_us = sum(copy.cost_us for copy in timeline.copies[place])
    return alone + max(0.0, timeline.fixed_us[place] - dispatch_us - copied_us)


def _reads(problem: Problem, timeline: Timeline, place: int) -> dict[str, float]:
    """Return the bytes that a work fetches, by the processor that wrote them."""
    reads: dict[str, float] = {}
    for copy in timeline.copies[place]:
        name = problem.processors[copy.source].name
        reads[name] = reads.get(name, 0.0) + copy.size_bytes
    return reads


def _plan_id(problem: Problem, strategy: Strategy, draft: Draft) -> str:
    """Identify a plan by what it does, so that asking again gives the same name."""
    content = [
        strategy.name,
        [model.kernels.graph.digest for model in problem.models],
        [
            [work.kernels, problem.processors[work.processor].name, work.after]
            + ([work.split.dimension, work.split.low, work.split.high] if work.split else [])
            for work in draft.works
        ],
    ]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:24]
