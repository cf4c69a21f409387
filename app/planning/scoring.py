"""Simulate and sample what strategies propose, and choose the best that keeps a request's caps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.planning import usage
from app.planning.distribution import Floats, Sampler, summary
from app.planning.evaluation import laid_out
from app.planning.plan import Distribution, Draft
from app.planning.problem import Problem
from app.planning.request import PlanningRequest
from app.planning.strategy import ImpossibleError, Strategy
from app.planning.timeline import Timeline

_FINALISTS = 2
_NEAR = 0.1
"""At most so many drafts of a strategy (twice as many for a quantile), and no further from its best mean than
so, are compared for the objective."""


@dataclass(frozen=True)
class Scored:
    """A draft with its timeline, samples of its works' ends (W, S) and of its latency (S,)."""

    strategy: Strategy
    timeline: Timeline
    ends_us: Floats
    samples_us: Floats
    latency_us: Distribution


class Scoring:
    """Chooses among a strategy's drafts, as one request has it."""

    def __init__(self, problem: Problem, request: PlanningRequest) -> None:
        self._problem = problem
        self._request = request
        self._sampler = Sampler.of(problem)
        self._known: dict[tuple[float, ...], Scored] = {}

    def choose(self, strategy: Strategy, drafts: Sequence[Draft]) -> list[Scored]:
        """Return the best draft by the objective (or every draft) among those that keep the caps.

        Only the drafts of least mean latency are sampled; raises `ImpossibleError` where none is allowed.
        """
        timelines = [laid_out(self._problem, draft) for draft in drafts]
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

    def rank(self, item: Scored) -> tuple[bool, float, int, int]:
        """Order by the objective; of equals the one with fewer hand-overs, then fewer stages.

        Plans that change the model come after those that keep it.
        """
        draft = item.timeline.draft
        value = round(float(getattr(item.latency_us, self._request.objective)), 3)
        return (draft.requires_retraining, value, item.timeline.hand_overs, len(draft.works))

    def _sampled(self, strategy: Strategy, timeline: Timeline) -> Scored:
        """Sample a timeline, once for all strategies that propose the same works."""
        known = self._known.get(timeline.end_us)
        if known is None or known.timeline.draft.works != timeline.draft.works:
            ends = self._sampler.ends_us(timeline)
            samples = ends.max(axis=0)
            known = Scored(strategy, timeline, ends, samples, summary(samples, timeline.latency_us))
            self._known[timeline.end_us] = known
        return replace(known, strategy=strategy, timeline=timeline)

    def _allows(self, timeline: Timeline) -> bool:
        """Tell whether a plan keeps the request's caps."""
        cap = self._request.memory_cap_bytes
        if cap is not None and usage.peak_memory_bytes(self._problem, timeline) > cap:
            return False
        if not self._request.max_share:
            return True
        shares = usage.shares(self._problem, timeline)
        return all(
            shares[name].busy <= share + 1e-9
            for name, share in self._request.max_share.items()
            if name in shares
        )

    def _why_not(self, timelines: Sequence[Timeline]) -> str:
        """Say which cap leaves nothing."""
        cap = self._request.memory_cap_bytes
        least = min(usage.peak_memory_bytes(self._problem, timeline) for timeline in timelines)
        if cap is not None and least > cap:
            return f"it needs at least {least:.0f} bytes of activations, the cap is {cap:.0f}"
        return f"its plans use processors more than `max_share` allows: {dict(self._request.max_share)}"
