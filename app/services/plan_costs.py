"""Costs for the planner: latencies from the serving predictors, copies from what devices measured."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from app.planning.costs import DEFAULT_SPREAD, Spread, Transfer, default_dispatch_us, default_transfer
from app.services.targets import Processor, Target
from app.store import transfers
from app.store.engine import Connection
from app.store.transfers import MeasuredCopy
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.run import RunQuery
from predictors.version import PredictorVersion

LEAST_COPIES = 8
"""Measured copies between two processors that replace the default cost."""

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
        copies: Mapping[tuple[str, str], Sequence[MeasuredCopy]],
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
        self._copies = copies
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
        """Return the mean latency of each operator in one batched prediction, shape (n,)."""
        place = self._processors[processor]
        used = self._rung if rung is Rung.RUNTIME else rung
        return _version(place).operator_latencies_us(operators, self._queries[processor], place.state, used)

    def spread(self, processor: str) -> Spread:
        """Return how runs scatter now, from the runtime predictor's own interval."""
        place = self._processors[processor]
        query = self._queries[processor]
        total = _version(place).forecast(query, place.state, (self._rung,))[self._rung].total
        width = log(max(total.high_us, 1e-3) / max(total.low_us, 1e-3))
        return Spread(shared=min(width / NORMAL_WIDTH_90, 2.0), noise=DEFAULT_SPREAD.noise)

    def transfer(self, source: str, target: str) -> Transfer:
        """Return the cost of a copy: fitted to measured ones, else the documented default."""
        copies = self._copies.get((source, target), ())
        if len(copies) >= LEAST_COPIES:
            return fit_transfer(copies)
        return default_transfer(self._processors[source].info.kind, self._processors[target].info.kind)

    def dispatch_us(self, processor: str) -> float:
        """Return the cost of starting one stage."""
        return default_dispatch_us(self._processors[processor].info.kind)

    def contention(self, processor: str, beside: str) -> float:
        """Return how much one processor slows another: nothing until executed plans have told."""
        return 0.0

    def dtypes(self, processor: str) -> Collection[str]:
        """Return the data types in which this processor was lately timed."""
        return self._timed_dtypes(self._processors[processor].info.id)


def fit_transfer(copies: Sequence[MeasuredCopy]) -> Transfer:
    """Fit latency and rate by non-negative least squares on relative errors (small copies count as much)."""
    latency_us = np.maximum([copy.latency_us for copy in copies], 0.1)
    design = np.column_stack([np.ones(len(copies)), [float(copy.size_bytes) for copy in copies]])
    scale = np.array([1.0, max(design[:, 1].max(), 1.0)])
    solution, _ = nnls(design / scale / latency_us[:, None], np.ones(len(copies)))
    start_us, us_per_byte = solution / scale
    return Transfer(float(start_us), float(us_per_byte))


def measured_copies(
    connection: Connection, processors: Sequence[Processor]
) -> dict[tuple[str, str], list[MeasuredCopy]]:
    """Return the newest measured copies of every pair of processors."""
    return {
        (one.info.name, other.info.name): transfers.newest(connection, one.info.id, other.info.id)
        for one in processors
        for other in processors
        if one is not other
    }


def _numbers(context: Mapping[str, float | bool]) -> dict[str, float]:
    return {name: float(value) for name, value in context.items()}


def _version(place: Processor) -> PredictorVersion:
    assert place.serving is not None, "only processors with a predictor are planned for"
    return place.serving.version
