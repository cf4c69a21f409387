"""From remembered rows to the learned parts of a version, fitted anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from predictors.breaks import Breaks
from predictors.buffer import Row
from predictors.conformal import Spread
from predictors.context_features import FROZEN_NAMES, NAMES
from predictors.context_model import ContextModel, Lesson, crossed
from predictors.forecast import Rung
from predictors.version import PredictorVersion

_GAIN_ROWS = 1_000
_GAIN_PRIOR = 1.0
_STATELESS_ROWS = 6_000


def lesson_of(rows: Sequence[Row], fresh_from: int) -> Lesson:
    """Return what rows teach; those numbered `fresh_from` and on no fit has met yet."""
    if not rows:
        return Lesson(np.empty((0, len(NAMES))), np.empty(0), [], np.empty(0), np.empty(0), 0)
    return Lesson(
        np.array([row.features for row in rows]),
        np.array([row.stretch for row in rows]),
        [row.group for row in rows],
        np.array([row.weight for row in rows]),
        np.array([row.predicted for row in rows]),
        sum(row.number >= fresh_from for row in rows),
    )


def rebuilt(
    version: PredictorVersion, rows: Sequence[Row], fresh_from: int, held_back: Sequence[Row] = ()
) -> PredictorVersion:
    """Return the version with all that learns from state fitted anew.

    What was predicted beforehand of rows held back still tells how far to correct, and when the state breaks.
    """
    every = [*rows, *held_back]
    return replace(
        version,
        runtime=ContextModel.fit(lesson_of(rows, fresh_from), len(NAMES), version.runtime.offsets),
        correction_gain=_correction_gain(every),
        breaks=Breaks.fit(every),
    )


def context_alone(rows: Sequence[Row], offsets: Mapping[str, float]) -> ContextModel:
    """Fit what context alone tells, on rows newest enough; networks keep the offsets they have."""
    lesson = replace(lesson_of(rows[-_STATELESS_ROWS:], 0), fresh=0)
    return ContextModel.fit(crossed(lesson, len(FROZEN_NAMES)), len(FROZEN_NAMES), offsets)


def comparisons_frozen(version: PredictorVersion, rows: Sequence[Row]) -> PredictorVersion:
    """Return the version with the rungs fitted that earlier conditions may inform but later runs may not."""
    runs = [row for row in rows if row.group]
    stretches = np.array([row.stretch for row in runs])
    by_label: dict[str, list[float]] = {}
    for row in runs:
        by_label.setdefault(row.condition or "", []).append(row.stretch)
    conditions = {name: float(np.median(values)) for name, values in sorted(by_label.items())}
    labels = np.array([conditions[row.condition or ""] for row in runs])
    return replace(
        version,
        condition_log=conditions,
        context_frozen=context_alone(rows, version.runtime.offsets),
        spreads={
            **version.spreads,
            Rung.PER_CONDITION: Spread.fit(stretches - labels),
            Rung.STATE_ONLY: Spread.fit(stretches - np.array([row.slowdown_log for row in runs])),
        },
        comparisons_final=True,
    )


def _correction_gain(rows: Sequence[Row]) -> float:
    """Return how much of the mean recent miss later runs showed: ridge regression, none of it assumed."""
    newest = [row for row in rows if row.group and isfinite(row.uncorrected)][-_GAIN_ROWS:]
    states = np.clip([row.miss_log for row in newest], -1.0, 1.0)
    misses = np.clip([row.stretch - row.uncorrected for row in newest], -1.0, 1.0)
    gain = states @ misses / (states @ states + _GAIN_PRIOR)
    return round(min(max(float(gain), 0.0), 1.0), 4)
