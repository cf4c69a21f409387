"""Fitting the calm model: from calm runs to operators, run laws and known networks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log
from statistics import median

import numpy as np
from numpy.typing import NDArray

from predictors.calm_model import CalmModel, KnownModel, RunLaw, memory_share
from predictors.graph import Operator
from predictors.operator_model import FLOOR_US, OperatorModel, OperatorSample
from predictors.run import Run

Floats = NDArray[np.float64]

_LAW_PRIOR_US = 3.0
_RUNS_PER_OPERATOR = 400


def fit_calm(
    runs: Sequence[Run],
    kernels: Mapping[str, tuple[Operator, ...]] | None = None,
    siblings: OperatorModel | None = None,
) -> CalmModel:
    """Fit on calm runs of one processor.

    `kernels` gives the kernel sequence of networks by model, for runs that list none; those seen in `runs`
    are known anyway. What the runs do not tell of operators is taken from `siblings`. No run at all gives
    the siblings' operators, or the physical prior.
    """
    sequences = {
        **(kernels or {}),
        **{run.query.model: run.query.operators for run in runs if run.query.operators},
    }
    operators = OperatorModel.fit(operator_samples(runs), siblings)
    profiled = _law(runs, sequences, profiled=True)
    unprofiled = _law(runs, sequences, profiled=False)
    known = _known(runs, sequences, operators)
    totals = [run.total_us for run in runs if run.total_us > 0]
    typical = float(np.median(np.log(totals))) if totals else CalmModel().log_typical_us
    return CalmModel(operators, profiled, unprofiled, known, typical)


def operator_samples(runs: Sequence[Run]) -> list[OperatorSample]:
    """Return the latency of each distinct operator in each place, in a stable order.

    Where an operator occurs several times in a run their mean counts: that some find their data in a cache is
    part of what it costs. Of several runs it is the median: that one was interrupted is not.
    """
    timings: dict[tuple[Operator, bool], list[tuple[float, int]]] = defaultdict(list)
    for run in runs:
        occurrences: dict[tuple[Operator, bool], list[float]] = defaultdict(list)
        timed = zip(run.query.operators, run.latency_us.tolist(), strict=False)
        for position, (operator, latency_us) in enumerate(timed):
            occurrences[operator, position in run.fell_back].append(latency_us)
        for place, latencies_us in occurrences.items():
            if len(timings[place]) < _RUNS_PER_OPERATOR:
                timings[place].append((sum(latencies_us) / len(latencies_us), len(latencies_us)))
    return [
        OperatorSample(operator, median(mean for mean, _ in told), sum(count for _, count in told), fell_back)
        for (operator, fell_back), told in sorted(
            timings.items(), key=lambda item: (item[0][1], item[0][0].signature)
        )
    ]


def _law(runs: Sequence[Run], sequences: Mapping[str, tuple[Operator, ...]], *, profiled: bool) -> RunLaw:
    """Fit a run law on one point a network, least squares on relative errors with a weak ridge."""
    sums, totals = _points(runs, profiled=profiled)
    models = [model for model in totals if model in sums and sequences.get(model)]
    if not models:
        return RunLaw()
    total = np.array([np.median(totals[model]) for model in models])
    operators = np.array([np.median(sums[model]) for model in models])
    nodes = np.array([float(len(sequences[model])) for model in models])
    design = np.column_stack([nodes, np.ones(len(models))]) / total[:, None]
    target = (total - operators) / total
    penalty = np.diag([_LAW_PRIOR_US / total.max(), _LAW_PRIOR_US / total.max()]) ** 2
    per_node, start = np.linalg.solve(design.T @ design + penalty, design.T @ target)
    return RunLaw(float(per_node), float(start))


def _points(runs: Sequence[Run], *, profiled: bool) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return by network the sums of node timings, and the totals of runs with or without the profiler."""
    sums: dict[str, list[float]] = defaultdict(list)
    totals: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if len(run.latency_us):
            sums[run.query.model].append(float(run.latency_us.sum()))
        if run.query.profiled == profiled and run.total_us > 0:
            totals[run.query.model].append(run.total_us)
    return sums, totals


def _known(
    runs: Sequence[Run], sequences: Mapping[str, tuple[Operator, ...]], operators: OperatorModel
) -> dict[str, KnownModel]:
    totals: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for run in runs:
        totals[run.query.model][run.query.profiled].append(log(max(run.total_us, FLOOR_US)))
    known = {}
    for model, (without, within) in sorted(totals.items()):
        kernels = sequences.get(model, ())
        latencies = np.exp(operators.log_latency_us(kernels))
        known[model] = KnownModel(
            (float(np.median(without)) if without else 0.0, float(np.median(within)) if within else 0.0),
            (len(without), len(within)),
            float(latencies.sum()),
            len(kernels),
            memory_share(kernels, latencies) if kernels else 0.5,
        )
    return known
