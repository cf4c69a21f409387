"""Cold start: what processors of one kind have in common, for those that were hardly measured yet.

    reference = reference_model(samples_by_processor)              # a fictitious average processor
    model = OperatorModel.fit(own_samples, siblings=reference)     # 0, 1, 10 or 50 samples or many

Latencies on known processors are split into a speed per processor and an effect per operator (two-way
additive fit in log space); the effects are what the reference processor is fitted on. Nobody's samples at all
leave the reference at the geometric mean of the nearest known processors' speeds.
"""

from collections.abc import Mapping, Sequence
from math import exp

import numpy as np
from numpy.typing import NDArray

from predictors.operator_model import FLOOR_US, PRIOR, OperatorModel, OperatorSample

Floats = NDArray[np.float64]

_STEPS = 60


def reference_model(known: Mapping[str, Sequence[OperatorSample]]) -> OperatorModel:
    """Fit the reference processor on the samples of known processors (names only tell them apart).

    No samples at all give the physical prior.
    """
    samples = reference_samples(known)
    return OperatorModel.fit(samples) if samples else PRIOR


def reference_samples(known: Mapping[str, Sequence[OperatorSample]]) -> list[OperatorSample]:
    """Return one sample per distinct operator as the average processor would have measured it."""
    operators = {sample.operator: 0 for samples in known.values() for sample in samples}
    operators = {operator: index for index, operator in enumerate(operators)}
    names = [name for name, samples in sorted(known.items()) for _ in samples]
    flat = [sample for _, samples in sorted(known.items()) for sample in samples]
    if not flat:
        return []
    places = np.array([operators[sample.operator] for sample in flat])
    processors = np.unique(names, return_inverse=True)[1]
    logs = np.log(np.maximum([sample.latency_us for sample in flat], FLOOR_US))
    effects = _operator_effects(places, processors, logs)
    counts = np.bincount(places, [float(sample.count) for sample in flat])
    return [
        OperatorSample(operator, exp(effects[index]), int(counts[index]))
        for operator, index in operators.items()
    ]


def _operator_effects(places: NDArray[np.int64], processors: NDArray[np.int64], logs: Floats) -> Floats:
    """Return log effects of operators, with the processors' speeds averaging 1, by alternating means."""
    per_operator, per_processor = np.bincount(places), np.bincount(processors)
    speeds = np.zeros(len(per_processor))
    effects = np.zeros(len(per_operator))
    for _ in range(_STEPS):
        effects = np.bincount(places, logs - speeds[processors]) / per_operator
        speeds = np.bincount(processors, logs - effects[places]) / per_processor
        speeds -= speeds.mean()
    return np.asarray(effects, dtype=np.float64)
