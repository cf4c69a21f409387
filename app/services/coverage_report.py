"""What the predictors know and what they do not, processor by processor, and what to profile next."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from app.errors import NotFoundError
from app.services import cursors
from app.services.coverage_parts import (
    FALLBACK,
    KNOWLEDGE,
    LEARNED,
    MEASURED,
    Intervals,
    ModelCoverage,
    OperatorType,
    ProcessorCoverage,
)
from app.services.kernels import KernelCache
from app.services.scored_counts import ScoredCounts
from app.services.shelf import Serving, Shelf
from app.services.thin_data import thin_places
from app.store import devices, learning
from app.store.engine import Connection, Database
from app.store.names import ModelName
from predictors.explain import profile_next
from predictors.graph import Operator
from predictors.run import PredictorKey
from predictors.version import PredictorVersion

KEPT_S = 10.0
NEWEST_RUNS = 60
"""Newest runs of a processor that tell what to profile next."""

PROFILED_NEXT = 5


@dataclass(frozen=True, slots=True)
class CoverageFilter:
    """Which processors; None lets all through. `model` is a name or digest and narrows the models shown."""

    soc: str | None = None
    processor: str | None = None
    framework: str | None = None
    device_id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class CoveragePage:
    """Processors in order of SoC, name and framework; `next` is the cursor of the following page."""

    processors: Sequence[ProcessorCoverage]
    next: str | None


class CoverageService:
    """Answers coverage reports; what was found for a version holds for a few seconds."""

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        kernels: KernelCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._kernels = kernels
        self._clock = clock
        self._reader = learning.RunReader()
        self._known: dict[tuple[PredictorKey, str | None], tuple[float, int, ProcessorCoverage]] = {}
        self._lock = threading.Lock()

    def page(self, wanted: CoverageFilter, *, cursor: str | None = None, limit: int = 100) -> CoveragePage:
        """Return what is known of the processors wanted; raise `InvalidRequestError` for a foreign cursor."""
        after = ("", "", "") if cursor is None else tuple(map(str, cursors.read(cursor, str, str, str)))
        with self._database.read() as connection:
            serving = self._shelf.all(connection)
            keys = [key for key in self._keys(connection, serving, wanted) if _order(key) > after]
            counts = ScoredCounts(connection, {key.soc for key in keys[:limit]})
            with self._lock:
                found = [
                    self._processor(connection, counts, key, serving.get(key), wanted.model)
                    for key in keys[:limit]
                ]
        return CoveragePage(found, cursors.write(*_order(keys[limit - 1])) if len(keys) > limit else None)

    def pages(self, wanted: CoverageFilter) -> Iterator[CoveragePage]:
        """Yield all pages."""
        cursor = None
        while True:
            found = self.page(wanted, cursor=cursor)
            yield found
            cursor = found.next
            if cursor is None:
                return

    def _keys(
        self, connection: Connection, serving: Mapping[PredictorKey, Serving], wanted: CoverageFilter
    ) -> list[PredictorKey]:
        """Return the keys wanted, in order; a processor without a predictor has a key without framework."""
        places = devices.places(connection, wanted.device_id)
        learned = {(key.soc, key.processor) for key in serving}
        keys = [key for key in serving if wanted.device_id is None or (key.soc, key.processor) in places]
        keys += [PredictorKey(*place, "") for place in places if place not in learned]
        return sorted(
            (
                key
                for key in keys
                if wanted.soc in (None, key.soc)
                and wanted.processor in (None, key.processor)
                and wanted.framework in (None, key.framework)
            ),
            key=_order,
        )

    def _processor(
        self,
        connection: Connection,
        counts: ScoredCounts,
        key: PredictorKey,
        serving: Serving | None,
        model: str | None,
    ) -> ProcessorCoverage:
        if serving is None:
            return ProcessorCoverage(key, None, thin=thin_places(None, (), (), 0))
        known = self._known.get((key, model))
        if known is not None and known[1] == serving.id and self._clock() - known[0] < KEPT_S:
            return known[2]
        found = self._look(connection, counts, key, serving, model)
        self._known[key, model] = self._clock(), serving.id, found
        return found

    def _look(
        self,
        connection: Connection,
        counts: ScoredCounts,
        key: PredictorKey,
        serving: Serving,
        wanted: str | None,
    ) -> ProcessorCoverage:
        version = serving.version
        runs = counts.models(key.soc, key.processor)
        for name in version.calm.known:
            if not any(name in (model.digest, model.name) for model in runs):
                runs[ModelName(name, name)] = 0
        samples = counts.op_types(key.soc, key.processor)
        models = [
            self._model(connection, serving.version, model, count, samples)
            for model, count in sorted(runs.items())
            if wanted is None or wanted in model
        ]
        op_types = _pooled(models, samples)
        n, coverage, width = counts.intervals(key.soc, key.processor)
        newest = [record.run for record in self._reader.before(connection, 2**62, NEWEST_RUNS, key)]
        return ProcessorCoverage(
            key,
            serving,
            models,
            op_types,
            _mean_shares([(max(item.runs, 1), item.operator_shares) for item in models]),
            _mean_shares([(max(item.runs, 1), item.time_shares) for item in models]),
            Intervals(0.9, n, coverage, width),
            thin_places(version, models, op_types, n),
            profile_next(version, newest, PROFILED_NEXT),
        )

    def _model(
        self,
        connection: Connection,
        version: PredictorVersion,
        model: ModelName,
        runs: int,
        samples: Mapping[str, int],
    ) -> ModelCoverage:
        operators: Sequence[Operator] = ()
        mapping = "unknown"
        if model.digest:
            with suppress(NotFoundError):
                operators, mapping = self._kernels.kernels(
                    connection,
                    model.digest,
                    framework=version.key.framework,
                    processor=version.key.processor,
                )
        calm_profile = model.digest in version.calm.known or model.name in version.calm.known
        if not operators:
            return ModelCoverage(model, runs, calm_profile, "unknown", {}, {})
        latency_us = np.exp(version.calm.operators.log_latency_us(operators))
        knowledge = [_knowledge(version, operator) for operator in operators]
        spent: dict[tuple[str, str], float] = defaultdict(float)
        for operator, known, own_us in zip(operators, knowledge, latency_us.tolist(), strict=True):
            spent[operator.op_type, known] += own_us
        counted = Counter((o.op_type, known) for o, known in zip(operators, knowledge, strict=True))
        total_us = float(latency_us.sum())
        return ModelCoverage(
            model,
            runs,
            calm_profile,
            mapping,
            {kind: knowledge.count(kind) / len(operators) for kind in KNOWLEDGE},
            {
                kind: sum(us for (_, known), us in spent.items() if known == kind) / total_us
                for kind in KNOWLEDGE
            },
            [
                OperatorType(op_type, known, count, samples.get(op_type, 0), spent[op_type, known] / total_us)
                for (op_type, known), count in sorted(counted.items())
            ],
        )


def _order(key: PredictorKey) -> tuple[str, str, str]:
    return key.soc, key.processor, key.framework


def _knowledge(version: PredictorVersion, operator: Operator) -> str:
    model = version.calm.operators
    if operator.op_type not in model.seen_types:
        return FALLBACK
    return MEASURED if model.was_measured(operator) else LEARNED


def _pooled(models: Sequence[ModelCoverage], samples: Mapping[str, int]) -> list[OperatorType]:
    """Return the operator types of all models, the longest-running first; models weigh by their runs."""
    count: Counter[tuple[str, str]] = Counter()
    share: dict[tuple[str, str], float] = defaultdict(float)
    weight = sum(max(model.runs, 1) for model in models if model.op_types)
    for model in models:
        for item in model.op_types:
            place = (item.op_type, item.knowledge)
            count[place] += item.operators
            share[place] += item.time_share * max(model.runs, 1) / weight
    return sorted(
        (
            OperatorType(op_type, knowledge, count[op_type, knowledge], samples.get(op_type, 0), part)
            for (op_type, knowledge), part in share.items()
        ),
        key=lambda item: (-item.time_share, item.op_type, item.knowledge),
    )


def _mean_shares(weighted: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    known = [(weight, shares) for weight, shares in weighted if shares]
    total = sum(weight for weight, _ in known)
    if not known:
        return {}
    return {kind: sum(weight * shares[kind] for weight, shares in known) / total for kind in KNOWLEDGE}
