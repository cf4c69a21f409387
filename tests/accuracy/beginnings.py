"""The first minutes: short starts cut from the older stretch, each played by a learner that knows nothing.

A beginning is a calm stretch that the agent labels as its calibration (none, 40 or 160 runs), then the next
300 runs from the start of some episode on: as traced or in a changed world, with all networks known or some
hidden. What runs had taught by then is all that any rung knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from tests.accuracy import nested
from tests.accuracy.dynamic import Traces
from tests.accuracy.paired import difference_interval

Floats = NDArray[np.float64]

COUNT = 21
RUNS = 300
CALIBRATIONS = (0, 40, 160)
SEEN = ((0, 20), (20, 40), (40, 80), (80, 150), (150, RUNS))
_MISS_PRICE = 2.0 / 0.1
_HIDDEN: tuple[tuple[str, ...], ...] = ((), *nested.HIDDEN_SETS)


@dataclass(frozen=True)
class Beginning:
    """Calm runs that the agent labels, the runs after them, and the models that are never learned."""

    calm: Sequence[Run]
    runs: Sequence[Run]
    hidden: frozenset[str]


@dataclass(frozen=True)
class Played:
    """All beginnings, run by run, each of shape (n,); runs that the physical prior answered are left out.

    `seen` counts the runs since the beginning, `calibration` those labelled before it, `block` numbers
    stretches of one condition in one beginning. `errors` are |predicted / measured - 1| by rung; `held`,
    `width` (of a run) and `winkler` (the same, misses priced) are of the runtime rung's 90 % interval.
    """

    seen: NDArray[np.int64]
    calibration: NDArray[np.int64]
    conditions: NDArray[np.str_]
    block: NDArray[np.int64]
    errors: dict[Rung, Floats]
    held: NDArray[np.bool_]
    width: Floats
    winkler: Floats


def beginnings(traces: Traces, count: int = COUNT) -> Iterator[Beginning]:
    """Cut so many beginnings evenly from the older stretch; worlds, hidden sets, calibrations take turns."""
    titles = nested.world_titles()
    for number in range(count):
        calibration = CALIBRATIONS[number % len(CALIBRATIONS)]
        change = nested.world(titles[number % len(titles)])
        calm, runs = change(traces.calibration.runs), change(traces.history.runs)
        starts = np.cumsum([0, *(len(episode) for episode in nested.episodes(runs))])
        starts = starts[starts <= len(runs) - RUNS]
        start = int(starts[number * len(starts) // count])
        first = number * 97 % (len(calm) - max(CALIBRATIONS))
        labelled = [_labelled(run) for run in calm[first : first + calibration]]
        stream = runs[start : start + RUNS]
        hidden = _HIDDEN[number // len(CALIBRATIONS) % len(_HIDDEN)]
        yield Beginning(
            labelled,
            nested.after(labelled, stream) if labelled else stream,
            frozenset(model for name in hidden for model in traces.history.models_named(name)),
        )


def play(traces: Traces, count: int = COUNT) -> Played:
    """Play every beginning, each with a fresh learner."""
    rungs = (Rung.CALM, Rung.STATE_ONLY, Rung.RUNTIME)
    marks, figures = [], []
    block = 0
    for beginning in beginnings(traces, count):
        engine = TestThenTrain(unseen=beginning.hidden)
        for run in beginning.calm:
            engine.step(run)
        last = None
        for seen, run in enumerate(beginning.runs):
            scored = engine.step(run)
            block += run.query.condition != last
            last = run.query.condition
            if not scored.learned:
                continue
            total = scored.forecasts[Rung.RUNTIME].total
            points = [scored.forecasts[rung].total.p50_us for rung in rungs]
            marks.append((seen, len(beginning.calm), block, run.query.condition or ""))
            figures.append((*points, total.low_us, total.high_us, run.total_us))
    seen_at, calibration, blocks, conditions = zip(*marks, strict=True)
    *points, low, high, measured = np.array(figures).T
    missed = np.maximum(low - measured, 0.0) + np.maximum(measured - high, 0.0)
    return Played(
        np.array(seen_at),
        np.array(calibration),
        np.array(conditions),
        np.array(blocks),
        {rung: np.abs(own / measured - 1.0) for rung, own in zip(rungs, points, strict=True)},
        missed == 0.0,
        (high - low) / measured,
        (high - low + _MISS_PRICE * missed) / measured,
    )


def table(played: Played) -> dict[str, dict[str, float]]:
    """Return errors, paired differences with their 95 % intervals, and intervals' figures, by part."""
    parts = {f"runs {low + 1} to {high}": (played.seen >= low) & (played.seen < high) for low, high in SEEN}
    parts |= {name: played.conditions == name for name in np.unique(played.conditions).tolist()}
    parts |= {f"{count} calm runs first": played.calibration == count for count in CALIBRATIONS}
    parts["all"] = np.ones(len(played.seen), bool)
    return {name: _row(played, chosen) for name, chosen in parts.items() if chosen.any()}


def _row(played: Played, chosen: NDArray[np.bool_]) -> dict[str, float]:
    runtime = played.errors[Rung.RUNTIME][chosen]
    row = {"runs": float(chosen.sum())}
    row |= {rung.value: float(errors[chosen].mean()) for rung, errors in played.errors.items()}
    for rung in (Rung.CALM, Rung.STATE_ONLY):
        low, high = difference_interval(runtime, played.errors[rung][chosen], played.block[chosen])
        row |= {f"over {rung.value}, low": low, f"over {rung.value}, high": high}
    return row | {
        "held": float(played.held[chosen].mean()),
        "median width": float(np.median(played.width[chosen])),
        "width": float(played.width[chosen].mean()),
        "winkler": float(played.winkler[chosen].mean()),
    }


def _labelled(run: Run) -> Run:
    return replace(run, query=replace(run.query, calibration=True))
