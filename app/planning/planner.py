"""Plan: let strategies propose, simulate what they propose, rank it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec
import numpy as np

from app.planning import usage
from app.planning.bounds import lower_bound_us
from app.planning.contention import moved_bytes
from app.planning.costs import CostSource
from app.planning.distribution import Floats, Sampler, summary
from app.planning.effort import Effort
from app.planning.evaluation import laid_out
from app.planning.fallback import fallback_of
from app.planning.flips import flips
from app.planning.periods import Jobs, unrolled
from app.planning.plan import Distribution, Draft, Fallback, Plan, Stage, Usage
from app.planning.problem import ModelRequest, Problem, Processor
from app.planning.strategy import Granularity, ImpossibleError, Strategy, all_strategies, proposals
from app.planning.timeline import Timeline, offline_latency_us

Objective = Literal["mean", "p50", "p90", "p99"]
_FINALISTS = 2
_NEAR = 0.1
"""At most so many drafts of a strategy (twice as many for a quantile), and no further from its best mean than
so, are compared for the objective."""


@dataclass(frozen=True)
class PlanningRequest:
    """What a scheduler asks for; empty `strategies` and `granularities` mean all of them.

    `max_share` caps a processor's busy share (0 to 1) by its name. `budget_ms` buys search work.
    """

    models: Sequence[ModelRequest]
    processors: Sequence[Processor]
    costs: CostSource
    objective: Objective = "mean"
    granularities: Sequence[str] = ()
    strategies: Sequence[str] = ()
    memory_cap_bytes: float | None = None
    max_share: Mapping[str, float] = field(default_factory=dict)
    budget_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class Impossible:
    """A strategy that has no plan to offer, and why."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanningResult:
    """Plans ranked by the objective, and what could not be planned."""

    plans: tuple[Plan, ...]
    impossible: tuple[Impossible, ...]


@dataclass(frozen=True)
class _Scored:
    """A draft with its timeline, samples of its works' ends (W, S) and of its latency (S,)."""

    strategy: Strategy
    timeline: Timeline
    ends_us: Floats
    samples_us: Floats
    latency_us: Distribution


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an answer says of a plan's works, whatever strategy proposed them."""

    offline_latency_us: float
    fallback: Fallback
    peak_memory_bytes: float
    processors: Mapping[str, Usage]
    stages: tuple[Stage, ...]


def plan(request: PlanningRequest) -> PlanningResult:
    """Return the plans of all asked strategies, best first; raise `ValueError` on a request without sense."""
    wanted, impossible = _wanted(request)
    if not request.models or not request.processors:
        raise ValueError("a plan needs at least one model and one processor")
    _check_precedence(request.models)
    jobs = unrolled(request.models)
    problem = Problem(jobs.requests, request.processors, request.costs)
    missing = problem.unsupported_everywhere()
    if missing:
        reason = f"no processor supports: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}"
        return PlanningResult((), (*impossible, *(Impossible(item.name, reason) for item in wanted)))
    scoring = _Scoring(problem, request, jobs)
    chosen: list[tuple[_Scored, Effort]] = []
    for strategy in wanted:
        effort = Effort(request.budget_ms)
        try:
            drafts = proposals(strategy, problem, effort)
            chosen += [(item, effort) for item in scoring.choose(strategy, drafts)]
        except ImpossibleError as reason:
            impossible.append(Impossible(strategy.name, str(reason)))
    return PlanningResult(_ranked(chosen, scoring), tuple(impossible))


def _wanted(request: PlanningRequest) -> tuple[list[Strategy], list[Impossible]]:
    known = all_strategies()
    unknown = [name for name in request.strategies if name not in known]
    if unknown:
        raise ValueError(f"unknown strategies {unknown}; there are: {', '.join(known)}")
    wrong = [name for name in request.granularities if name not in set(Granularity)]
    if wrong:
        raise ValueError(f"unknown granularities {wrong}; there are: {', '.join(Granularity)}")
    named = [known[name] for name in dict.fromkeys(request.strategies)] or list(known.values())
    fitting = [
        item for item in named if not request.granularities or item.granularity in request.granularities
    ]
    left_out = [
        Impossible(item.name, f"its granularity is {item.granularity}, which was not asked for")
        for item in named
        if item not in fitting and request.strategies
    ]
    return fitting, left_out


class _Scoring:
    """Turns drafts into plans under one request."""

    def __init__(self, problem: Problem, request: PlanningRequest, jobs: Jobs) -> None:
        self.problem = problem
        self._request = request
        self._jobs = jobs
        self._sampler = Sampler.of(problem)
        self._bounds: dict[bool, float] = {}
        self._known: dict[tuple[float, ...], _Scored] = {}
        self._facts: dict[int, _Facts] = {}

    def choose(self, strategy: Strategy, drafts: Sequence[Draft]) -> list[_Scored]:
        """Return the best draft by the objective (or every draft) among those that keep the caps.

        Only the drafts of least mean latency are sampled; raises `ImpossibleError` where none is allowed.
        """
        timelines = [laid_out(self.problem, draft) for draft in drafts]
        allowed = [timeline for timeline in timelines if self._allows(timeline)]
        if not allowed:
            raise ImpossibleError(self._why_not(timelines))
        if strategy.every:
            return [self._sampled(strategy, timeline) for timeline in allowed]
        allowed.sort(key=lambda timeline: (timeline.latency_us, timeline.hand_overs))
        near = allowed[0].latency_us * (1 + _NEAR)
        count = _FINALISTS if self._request.objective == "mean" else 2 * _FINALISTS
        finalists = [item for item in allowed[:count] if item.latency_us <= near]
        return [min((self._sampled(strategy, item) for item in finalists), key=self.rank)]

    def rank(self, item: _Scored) -> tuple[bool, float, int, int]:
        """Order by the objective; of equals the one with fewer hand-overs, then fewer stages.

        Plans that change the model come after those that keep it.
        """
        draft = item.timeline.draft
        value = round(float(getattr(item.latency_us, self._request.objective)), 3)
        return (draft.requires_retraining, value, item.timeline.hand_overs, len(draft.works))

    def answer(self, item: _Scored, effort: Effort) -> Plan:
        """Say of a plan all that the answer says, but what compares it with others."""
        timeline, draft = item.timeline, item.timeline.draft
        strategy = item.strategy
        bound = self._bound_us(splits=strategy.granularity is Granularity.INTRA_OPERATOR)
        facts = self._facts_of(item)
        return Plan(
            plan_id=_plan_id(self.problem, strategy, draft),
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

    def _facts_of(self, item: _Scored) -> _Facts:
        """Return what is said of a plan's works, once for all plans with the same ones."""
        found = self._facts.get(id(item.ends_us))
        if found is None:
            problem, timeline = self.problem, item.timeline
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
            self._bounds[splits] = lower_bound_us(self.problem, splits=splits)
        return self._bounds[splits]

    def _sampled(self, strategy: Strategy, timeline: Timeline) -> _Scored:
        """Sample a timeline, once for all strategies that propose the same works."""
        known = self._known.get(timeline.end_us)
        if known is None or known.timeline.draft.works != timeline.draft.works:
            ends = self._sampler.ends_us(timeline)
            samples = ends.max(axis=0)
            known = _Scored(strategy, timeline, ends, samples, summary(samples, timeline.latency_us))
            self._known[timeline.end_us] = known
        return replace(known, strategy=strategy, timeline=timeline)

    def _allows(self, timeline: Timeline) -> bool:
        """Tell whether a plan keeps the request's caps."""
        cap = self._request.memory_cap_bytes
        if cap is not None and usage.peak_memory_bytes(self.problem, timeline) > cap:
            return False
        if not self._request.max_share:
            return True
        shares = usage.shares(self.problem, timeline)
        return all(
            shares[name].busy <= share + 1e-9
            for name, share in self._request.max_share.items()
            if name in shares
        )

    def _why_not(self, timelines: Sequence[Timeline]) -> str:
        """Say which cap leaves nothing."""
        cap = self._request.memory_cap_bytes
        least = min(usage.peak_memory_bytes(self.problem, timeline) for timeline in timelines)
        if cap is not None and least > cap:
            return f"it needs at least {least:.0f} bytes of activations, the cap is {cap:.0f}"
        return f"its plans use processors more than `max_share` allows: {dict(self._request.max_share)}"

    def _deadlines(self, timeline: Timeline, ends: Floats) -> tuple[float | None, ...]:
        """Return, for each requested model, the chance that its jobs meet their deadline (their mean)."""
        problem = self.problem
        job_of = np.array([problem.kernels[work.kernels[0]].model for work in timeline.draft.works])
        met: list[list[float]] = [[] for _ in self._request.models]
        for job, request in enumerate(problem.models):
            if request.deadline_us is not None:
                finish = ends[job_of == job].max(axis=0, initial=0.0)
                late = finish - request.release_us > request.deadline_us
                met[self._jobs.model_of[job]].append(float(1.0 - late.mean()))
        return tuple(sum(chances) / len(chances) if chances else None for chances in met)


def _ranked(chosen: Sequence[tuple[_Scored, Effort]], scoring: _Scoring) -> tuple[Plan, ...]:
    """Rank, and say how each plan compares with the others."""
    ordered = sorted(chosen, key=lambda pair: (*scoring.rank(pair[0]), pair[0].strategy.name))
    singles = [item.latency_us.mean for item, _ in ordered if item.strategy.name == "mace"]
    single = min(singles, default=None)
    rivals = [item for item, _ in ordered if not item.timeline.draft.requires_retraining]
    chances = _chances([item.samples_us for item in rivals])
    fastest = {id(item): chance for item, chance in zip(rivals, chances, strict=True)}
    best = rivals[0] if rivals else None
    problem = scoring.problem
    problem.costs.predict_offline(
        {
            (index, work.split.dimension)
            for item, _ in ordered
            for work in item.timeline.draft.works
            if work.split
            for index in work.kernels
        }
    )
    turning = flips(problem, best.timeline, [item.timeline for item in rivals[1:]]) if best else {}
    plans = []
    for item, effort in ordered:
        mean = item.latency_us.mean
        plans.append(
            replace(
                scoring.answer(item, effort),
                speedup_over_best_single=single / mean if single is not None and mean > 0 else None,
                fastest=fastest.get(id(item), 0.0),
                tie=best is not None and item is not best and id(item) in fastest and _tied(item, best),
                flips=turning if item is best else {},
            )
        )
    return tuple(plans)


def _check_precedence(models: Sequence[ModelRequest]) -> None:
    for index, model in enumerate(models):
        if any(not 0 <= other < len(models) or other == index for other in model.after):
            raise ValueError(f"model {index} must come after models that were requested, not {model.after}")


def _chances(samples: Sequence[Floats]) -> list[float]:
    """Chance of each plan to be the fastest; plans that are equally fast in a sample share it."""
    if not samples:
        return []
    table = np.stack(samples)
    winners = table <= table.min(axis=0) * (1 + 1e-9)
    return [float(value) for value in (winners / winners.sum(axis=0)).mean(axis=1)]


def _tied(item: _Scored, best: _Scored) -> bool:
    """Two plans tie where neither is ahead in more than 60 % of the samples, or they differ by under 1 %."""
    difference = item.samples_us - best.samples_us
    ahead = float((difference < 0).mean() + 0.5 * (difference == 0).mean())
    close = abs(float(difference.mean())) < 0.01 * float(best.samples_us.mean())
    return close or 0.4 <= ahead <= 0.6


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
