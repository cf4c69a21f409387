"""Costs for the planner: latencies from the serving predictors, the rest from executed plans."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from app.planning.costs import DEFAULT_SPREAD, Contention, Spread, Transfer
from app.planning.learned_costs import LearnedCosts
from app.services.targets import Processor, Target
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.run import RunQuery
from predictors.version import PredictorVersion

NORMAL_WIDTH_90 = 2 * 1.645
"""Width of a normal distribution's central 90 %, in standard deviations."""


class PredictedCosts:
    """A `CostSource` over the processors of one target in one context.

    `kernels` are those of the first model asked for: the run whose length and history the context's effect
    is read at. `timed_dtypes` looks up a processor's data types by its row, only when asked. `contexts`
    holds those of single processors that differ from the target's; `rung` predicts in the runtime
    predictor's place.
    """

    def __init__(
        self,
        target: Target,
        *,
        learned: LearnedCosts,
        model: str,
        kernels: Sequence[Operator],
        started_at_us: int,
        timed_dtypes: Callable[[int], Collection[str]],
        contexts: Mapping[str, Mapping[str, float | bool]] | None = None,
        rung: Rung = Rung.RUNTIME,
    ) -> None:
        self._timed_dtypes = timed_dtypes
        self._rung = rung
        own = contexts or {}
        self._processors = {place.info.name: place for place in target.processors}
        self._learned = learned
        self._queries = {
            name: RunQuery(
                key=place.key,
                device_id=target.device_id,
                model=model,
                started_at_us=started_at_us,
                operators=tuple(kernels),
                context=_numbers(own[name]) if name in own else target.context,
                profiled=False,
            )
            for name, place in self._processors.items()
        }

    def latencies_us(self, processor: str, operators: Sequence[Operator], rung: Rung) -> NDArray[np.float64]:
        """Return the mean latency of each operator in one batched prediction, shape (n,).

        The rung that plans also knows how much longer stages of executed plans took than their kernels.
        """
        place = self._processors[processor]
        if rung is not Rung.RUNTIME:
            return _version(place).operator_latencies_us(
                operators, self._queries[processor], place.state, rung
            )
        latency_us = _version(place).operator_latencies_us(
            operators, self._queries[processor], place.state, self._rung
        )
        return latency_us * self._learned.stages[processor].factor

    def spread(self, processor: str) -> Spread:
        """Return how runs scatter now, from the runtime predictor's own interval."""
        place = self._processors[processor]
        query = self._queries[processor]
        total = _version(place).forecast(query, place.state, (self._rung,))[self._rung].total
        width = log(max(total.high_us, 1e-3) / max(total.low_us, 1e-3))
        return Spread(shared=min(width / NORMAL_WIDTH_90, 2.0), noise=DEFAULT_SPREAD.noise)

    def transfer(self, source: str, target: str) -> Transfer:
        """Return the cost of a hand-over: learned from measured ones, else the documented default."""
        return self._learned.transfers[source, target].cost

    def dispatch_us(self, processor: str) -> float:
        """Return the cost of starting one stage: learned from executed ones, else the documented default."""
        return self._learned.stages[processor].dispatch_us

    def contention(self, processor: str, beside: str) -> Contention:
        """Return how work on one processor slows another: not at all until executed plans have told."""
        return self._learned.contention(processor, beside)

    def dtypes(self, processor: str) -> Collection[str]:
        """Return the data types in which this processor was lately timed."""
        return self._timed_dtypes(self._processors[processor].info.id)


def _numbers(context: Mapping[str, float | bool]) -> dict[str, float]:
    return {name: float(value) for name, value in context.items()}


def _version(place: Processor) -> PredictorVersion:
    return place.serving.version
