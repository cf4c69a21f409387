"""When the honest answer is "too thin": one rule for every forecast, whoever asks.

    coverage = cover(version, query, Rung.RUNTIME)
    coverage.too_thin, coverage.reasons

A forecast is too thin where

1. nothing was learned for its processor: a relative's predictor answers instead, or the physical prior;
2. its rung rests on too few runs: the offline profile on fewer than `ENOUGH_CALM_RUNS`, below which the ends
   of a 90 % interval are not even seen once, the runtime predictor on fewer than `ENOUGH_RUNS`, below which
   it has hardly met other circumstances;
3. the network was not timed here itself (`ENOUGH_OF_NETWORK` times), and either nothing is known of its
   operators, or more than `MOST_FALLBACK` of them, by predicted time or by number, are of types that were
   never timed here. By number too, since the time of an unknown operator is itself a guess.

A network whose totals were measured needs no timed operators: many devices can time nothing else.
"""

import numpy as np

from predictors.device_state import group_of
from predictors.forecast import Coverage, Rung
from predictors.run import RunQuery
from predictors.version import PredictorVersion

ENOUGH_CALM_RUNS = 20
ENOUGH_RUNS = 50
ENOUGH_OF_NETWORK = 3
MOST_FALLBACK = 0.1

_RESTS_ON_CALM_RUNS = frozenset({Rung.CALM})


def cover(version: PredictorVersion, query: RunQuery, rung: Rung) -> Coverage:
    """Return what a forecast of `query` by a rung rests on; `query.key` is the processor asked about."""
    if version.key != query.key:
        types = tuple(sorted({operator.op_type for operator in query.operators}))
        return Coverage(0.0, types, (f"nothing was learned for it: {version.key} answers instead",))
    calm = version.calm.calm(query)
    if not version.trained_runs:
        instead = "its relatives answer" if version.grounds.lent else "the physical prior answers"
        return Coverage(0.0, calm.fallback, (f"nothing was learned for it: {instead}",))
    few = too_few_runs(version, rung)
    unknown = None if _timed_itself(version, query, rung) else _unknown_part(version, query)
    return Coverage(calm.learned, calm.fallback, tuple(filter(None, (few, unknown))))


def too_few_runs(version: PredictorVersion, rung: Rung) -> str | None:
    """Return why a rung of a version is too thin for any network, None where it is not."""
    return few_runs(rung, calm_runs=version.calm_runs, trained_runs=version.trained_runs)


def few_runs(rung: Rung, *, calm_runs: int, trained_runs: int) -> str | None:
    """Return why so many runs are too few for a rung, None where they are not."""
    if rung in _RESTS_ON_CALM_RUNS:
        few = f"its profile rests on {calm_runs} calm runs, not {ENOUGH_CALM_RUNS}"
        return few if calm_runs < ENOUGH_CALM_RUNS else None
    few = f"its predictor rests on {trained_runs} runs, not {ENOUGH_RUNS}"
    return few if trained_runs < ENOUGH_RUNS else None


def _timed_itself(version: PredictorVersion, query: RunQuery, rung: Rung) -> bool:
    known = version.calm.known.get(query.model)
    if known is not None and sum(known.count) >= ENOUGH_OF_NETWORK:
        return True
    return rung not in _RESTS_ON_CALM_RUNS and group_of(query) in version.runtime.offsets


def _unknown_part(version: PredictorVersion, query: RunQuery) -> str | None:
    calm = version.calm.calm(query)
    if not query.operators:
        return "the network was not timed there, and its operators are not known"
    guessed = np.array([operator.op_type in calm.fallback for operator in query.operators])
    if not guessed.any():
        return None
    latency_us = np.exp(calm.log_operators_us)
    share = max(float(latency_us[guessed].sum() / latency_us.sum()), float(guessed.mean()))
    if share <= MOST_FALLBACK:
        return None
    return f"{100 * share:.0f} % of it is operators never timed there ({', '.join(calm.fallback)})"
