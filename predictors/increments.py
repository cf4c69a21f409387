"""A few trees more: what the newest runs tell beyond the trees in service, without a rebuild.

Boosting goes on where it ended. Appended trees are fitted to what the present ones leave over in the newest
rows, and in older ones of every kind beside them, so that a step cannot learn the regime of the last minutes
at the cost of all others. Steps are small, and one follows another only while each is better on runs held
back by more than chance. The number of appended trees is capped; then only a rebuild makes room.
"""

from collections.abc import Sequence
from dataclasses import replace

from predictors.buffer import Row
from predictors.context_model import Lesson
from predictors.gate import Verdict
from predictors.refits import lesson_of
from predictors.version import PredictorVersion

STEP = 6
"""Trees appended at once."""

MOST_APPENDED = 36
"""Trees appended at most, about half as many as a rebuild makes."""

OLDER_ROWS = 1_000
NEWEST_ROWS = 1_500
"""How many rows a step learns from at most."""

_NEWEST_WEIGHT = 2.0
"""How much more all of the newest rows count together than the older ones beside them.

Where both look alike and differ, the newest are right; where they look different, trees keep them apart.
"""


def possible(version: PredictorVersion) -> bool:
    """Whether there are trees to append to, and a step fits under the cap."""
    return version.runtime.median is not None and version.runtime.appended + STEP <= MOST_APPENDED


def balanced(older: Sequence[Row], newest: Sequence[Row], fresh_from: int) -> Lesson:
    """Return what a step learns from; newest rows numbered `fresh_from` and on no fit has met yet."""
    lesson = lesson_of([*older, *newest], fresh_from)
    weights = lesson.weights.copy()
    old, new = weights[: len(older)], weights[len(older) :]
    old *= new.sum() / max(_NEWEST_WEIGHT * old.sum(), 1e-9)
    return replace(lesson, weights=weights / weights.mean())


def grown(
    version: PredictorVersion, lesson: Lesson, held_back: Sequence[Row], margin: float
) -> PredictorVersion:
    """Append step after step while each is better on held-back runs by more than `margin` standard errors.

    The first is compared with what was predicted at the time. Returns the very version where not even that
    is better.
    """
    rival = None
    while possible(version):
        more = replace(version, runtime=version.runtime.extended(lesson, STEP))
        if not Verdict.of(more, held_back, rival).better(margin):
            break
        version = rival = more
        lesson = replace(lesson, fresh=0)
    return version
