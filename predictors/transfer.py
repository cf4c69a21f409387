"""Cold start: what processors of one kind have in common, for those that were hardly measured yet.

    pool = Pool.fit({key: samples, ...})                                # everything known about processors
    model = OperatorModel.fit(own_samples, siblings=pool.start(key))    # 0, 1, 10, 50 samples or thousands

Latencies on known processors of a kind are split into a speed per processor and an effect per operator
(two-way additive fit in log space). The effects make a fictitious reference processor; a new processor starts
as the reference at the speed of its nearest relatives, and every sample of its own moves it away from there.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from predictors.operator_model import FLOOR_US, PRIOR, OperatorModel, OperatorSample
from predictors.run import PredictorKey

Floats = NDArray[np.float64]

_STEPS = 60
_SAME_SOC = 10


@dataclass(frozen=True)
class Kind:
    """Processors of one kind under one framework: the reference, and each one's log slowness against it.

    `elsewhere` is the same of the operators that they hand to other processors; empty where none does.
    """

    reference: OperatorModel
    log_slowness: Mapping[PredictorKey, float]
    elsewhere: Mapping[PredictorKey, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """What is known of processors, by framework and kind."""

    kinds: Mapping[tuple[str, str], Kind] = field(default_factory=dict)

    @classmethod
    def fit(cls, known: Mapping[PredictorKey, Sequence[OperatorSample]]) -> "Pool":
        """Fit a reference for every kind of which a processor was measured."""
        groups: dict[tuple[str, str], dict[PredictorKey, Sequence[OperatorSample]]] = defaultdict(dict)
        for key, samples in sorted(known.items(), key=lambda item: str(item[0])):
            if samples:
                groups[kind_of(key)][key] = samples
        return cls({kind: _fit_kind(members) for kind, members in groups.items()})

    def start(self, key: PredictorKey) -> OperatorModel:
        """Return what is known of a processor before it is measured: the prior where nothing is.

        Nearest are processors of the same kind, those of the same SoC first, then those whose names
        have most in common (`cpu-big-4` is nearer to `cpu-big-2` than to `cpu-little-4`). No operator type
        counts as seen: nothing was measured on the processor itself.
        """
        kind = self.kinds.get(kind_of(key))
        if kind is None:
            return PRIOR
        own = _started(kind.reference, key, kind.log_slowness)
        if own.elsewhere is None:
            return own
        return replace(own, elsewhere=_started(own.elsewhere, key, kind.elsewhere))


def _started(
    reference: OperatorModel, key: PredictorKey, log_slowness: Mapping[PredictorKey, float]
) -> OperatorModel:
    """Return the reference at the speed of a processor's nearest relatives."""
    alike = {other: likeness(key, other) for other in log_slowness}
    most = max(alike.values(), default=0)
    nearest = [slowness for other, slowness in log_slowness.items() if alike[other] == most]
    return replace(reference.scaled(float(np.mean(nearest or [0.0]))), seen_types=frozenset())


def nearest(key: PredictorKey, known: Iterable[PredictorKey]) -> PredictorKey | None:
    """Return the known processor of a kind that has most in common with one nobody measured.

    An empty framework in `key` matches any. None where no processor of that kind is known.
    """
    kind = _words(key.processor)[0]
    alike = [
        other
        for other in known
        if _words(other.processor)[0] == kind and key.framework in ("", other.framework)
    ]
    return max(alike, key=lambda other: (likeness(key, other), str(other)), default=None)


def kind_of(key: PredictorKey) -> tuple[str, str]:
    """Return framework and kind of processor: only within these can anything be lent."""
    return key.framework, _words(key.processor)[0]


def _words(name: str) -> list[str]:
    """Split a processor's name: `cpu-big-4` is cpu, big, 4, and `cpu:0` is cpu, 0."""
    return re.findall(r"[a-z]+|[0-9]+", name.lower()) or [name]


def likeness(key: PredictorKey, other: PredictorKey) -> int:
    """Return how much two processors have in common: the SoC first, then words of their names."""
    own, others = _words(key.processor), _words(other.processor)
    return _SAME_SOC * (key.soc == other.soc) + len(set(own) & set(others)) - abs(len(own) - len(others))


def _fit_kind(known: Mapping[PredictorKey, Sequence[OperatorSample]]) -> Kind:
    reference: list[OperatorSample] = []
    log_slowness: list[dict[PredictorKey, float]] = []
    for fell_back in (False, True):
        own = {
            key: [item for item in samples if item.fell_back == fell_back] for key, samples in known.items()
        }
        effects, slowness = _reference({key: samples for key, samples in own.items() if samples})
        reference += effects
        log_slowness.append(slowness)
    return Kind(OperatorModel.fit(reference), *log_slowness)


def _reference(
    known: Mapping[PredictorKey, Sequence[OperatorSample]],
) -> tuple[list[OperatorSample], dict[PredictorKey, float]]:
    """Return what a processor of middling speed would take, and each one's log slowness against it."""
    if not known:
        return [], {}
    samples = [sample for own in known.values() for sample in own]
    index = {operator: i for i, operator in enumerate(dict.fromkeys(sample.operator for sample in samples))}
    places = np.array([index[sample.operator] for sample in samples])
    processors = np.repeat(np.arange(len(known)), [len(own) for own in known.values()])
    logs = np.log(np.maximum([sample.latency_us for sample in samples], FLOOR_US))
    effects, slowness = _split(places, processors, logs)
    counts = np.bincount(places, [float(sample.count) for sample in samples])
    common = [
        OperatorSample(operator, exp(effects[i]), int(counts[i]), samples[0].fell_back)
        for operator, i in index.items()
    ]
    return common, dict(zip(known, slowness.tolist(), strict=True))


def _split(places: NDArray[np.int64], processors: NDArray[np.int64], logs: Floats) -> tuple[Floats, Floats]:
    """Return log effects by operator and log slowness by processor (mean 0), by alternating means."""
    per_operator, per_processor = np.bincount(places), np.bincount(processors)
    slowness = np.zeros(len(per_processor))
    effects = np.zeros(len(per_operator))
    for _ in range(_STEPS):
        effects = np.bincount(places, logs - slowness[processors]) / per_operator
        slowness = np.bincount(processors, logs - effects[places]) / per_processor
        slowness -= slowness.mean()
    return effects, slowness
