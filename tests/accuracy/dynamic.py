"""Changing load: every rung and every published baseline, run by run, on one stream.

Each run is predicted from what had ended when it started. Baselines may remember the networks that our
versions are not allowed to learn from: that favours them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from app.services.traces import Trace, read_trace
from predictors.evaluate import Scored, TestThenTrain
from predictors.forecast import Rung
from predictors.learner import Learner, baselines
from predictors.scores import LEAST_US
from tests.accuracy.paired import difference_interval
from tests.traces import traces_directory

Floats = NDArray[np.float64]

UNSEEN = ("inception_v1", "squeezenet", "resnet50")
NETWORK_SETS: Mapping[str, tuple[str, ...]] = {
    "all networks known": (),
    "three networks never learned": UNSEEN,
}
_LONG_OPERATOR_US = 50.0
FLOOR = "floor: others of its episode"
DISTURBED = ("s1", "s2", "s3", "s4")


@dataclass(frozen=True)
class Traces:
    """What is fitted on, warmed up with, and predicted."""

    calibration: Trace
    history: Trace
    stream: Trace

    @classmethod
    def read(cls) -> "Traces":
        """Read the development traces; raise `FileNotFoundError` where they are not."""
        directory = traces_directory()
        if directory is None:
            raise FileNotFoundError(
                "the traces are not here: set SOCAST_TRACES to the folder that holds them"
            )
        names = ("dev-calibration", "dev-dynamic-a", "dev-dynamic-b")
        return cls(*(read_trace(directory / f"{name}.ndjson.gz") for name in names))


@dataclass(frozen=True)
class Stream:
    """The predicted stream as columns: absolute relative errors by learner, and where each run stands.

    `position` counts runs since the last change of condition (0 is the first), `episode` numbers stretches
    of one condition; `errors` are |predicted / measured - 1|, each of shape (n,).
    """

    conditions: NDArray[np.str_]
    episode: NDArray[np.int64]
    position: NDArray[np.int64]
    unseen: NDArray[np.bool_]
    errors: Mapping[str, Floats]
    scored: Sequence[Scored]
    runs_per_s: float


def play(traces: Traces, unseen: Sequence[str], kinds: Sequence[type[Learner]] | None = None) -> Stream:
    """Replay the stream with every rung and the given baselines, else all of them."""
    hidden = {model for name in unseen for trace in _each(traces) for model in trace.models_named(name)}
    engine = TestThenTrain(unseen=hidden)
    engine.calibrate(traces.calibration.runs)
    engine.warm_up(traces.history.runs)
    started = perf_counter()
    scored = [engine.step(run) for run in traces.stream.runs]
    elapsed = perf_counter() - started
    measured = np.array([item.run.total_us for item in scored])
    predicted = {
        rung.value: np.array([item.forecasts[rung].total.p50_us for item in scored]) for rung in Rung
    }
    for kind in baselines() if kinds is None else kinds:
        predicted[kind.name] = _play_baseline(kind(), traces, scored)
    predicted[FLOOR] = _clairvoyant(scored)
    episode, position = _episodes(scored)
    return Stream(
        np.array([item.run.query.condition or "" for item in scored]),
        episode,
        position,
        np.array([item.unseen for item in scored]),
        {name: np.abs(values / measured - 1.0) for name, values in predicted.items()},
        scored,
        len(scored) / elapsed,
    )


def _each(traces: Traces) -> tuple[Trace, Trace, Trace]:
    return traces.calibration, traces.history, traces.stream


def _play_baseline(learner: Learner, traces: Traces, scored: Sequence[Scored]) -> Floats:
    """Test-then-train with immediate feedback; runs that list no kernels have their network's by now."""
    learner.fit(traces.calibration.runs)
    for run in traces.history.runs:
        learner.learn(run)
    predictions = []
    for item in scored:
        predictions.append(learner.predict(item.query).total_us)
        learner.learn(replace(item.run, query=item.query))
    return np.array(predictions)


def _clairvoyant(scored: Sequence[Scored]) -> Floats:
    """Return the median of the other runs of the same network, timed alike, in the same episode."""
    episode, _ = _episodes(scored)
    groups: dict[tuple[int, str, bool], list[int]] = defaultdict(list)
    for place, item in enumerate(scored):
        groups[int(episode[place]), item.run.query.model, item.run.query.profiled].append(place)
    totals = np.array([item.run.total_us for item in scored])
    floor = np.full(len(scored), np.nan)
    for places in groups.values():
        for place in places:
            others = [other for other in places if other != place]
            if others:
                floor[place] = np.median(totals[others])
    return floor


def _episodes(scored: Sequence[Scored]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    episodes, positions = [], []
    last, episode, position = None, -1, 0
    for item in scored:
        condition = item.run.query.condition
        episode, position = (episode, position + 1) if condition == last else (episode + 1, 0)
        last = condition
        episodes.append(episode)
        positions.append(position)
    return np.array(episodes), np.array(positions)


def condition_means(stream: Stream, errors: Floats, selected: NDArray[np.bool_]) -> dict[str, float]:
    """Return the mean error by condition and, as `s1-s4`, the mean of the disturbed conditions' means."""
    kept = selected & np.isfinite(errors)
    means = {
        name: float(errors[kept & (stream.conditions == name)].mean())
        for name in np.unique(stream.conditions[kept]).tolist()
    }
    disturbed = [means[name] for name in DISTURBED if name in means]
    return {**means, "s1-s4": float(np.mean(disturbed)) if disturbed else float("nan")}


def bootstrap(
    stream: Stream, errors: Floats, selected: NDArray[np.bool_], draws: int = 500
) -> tuple[float, float]:
    """Return the 95 % interval of the `s1-s4` mean, resampling whole episodes within their condition."""
    rng = np.random.default_rng(7)
    kept = selected & np.isfinite(errors)
    sums = np.bincount(stream.episode[kept], errors[kept], stream.episode.max() + 1)
    counts = np.bincount(stream.episode[kept], minlength=stream.episode.max() + 1)
    by_condition = []
    for name in DISTURBED:
        episodes = np.unique(stream.episode[kept & (stream.conditions == name)])
        if len(episodes):
            drawn = rng.choice(episodes, (draws, len(episodes)))
            by_condition.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.mean(by_condition, axis=0), [0.025, 0.975])
    return float(low), float(high)


def reaction(stream: Stream, errors: Floats) -> dict[str, float]:
    """Return how the error falls after a change: means at positions, and over the steady rest."""
    places = {
        "run 1": (0, 1),
        "run 2": (1, 2),
        "runs 3-5": (2, 5),
        "runs 6-20": (5, 20),
        "later": (20, 10**6),
    }
    kept = np.isfinite(errors)
    return {
        name: float(errors[kept & (stream.position >= low) & (stream.position < high)].mean())
        for name, (low, high) in places.items()
    }


def pooled(streams: Sequence[Stream]) -> dict[str, list[float]]:
    """Return the errors of runtime, context_frozen and the floor over several streams taken together."""
    rows: dict[str, list[float]] = {}
    for name in ("runtime", "context_frozen", FLOOR):
        errors = np.concatenate([stream.errors[name] for stream in streams])
        conditions = np.concatenate([stream.conditions for stream in streams])
        unseen = np.concatenate([stream.unseen for stream in streams])
        position = np.concatenate([stream.position for stream in streams])
        for part, selected in {"known": ~unseen, "never learned": unseen}.items():
            kept = selected & np.isfinite(errors)
            means = [errors[kept & (conditions == one)] for one in DISTURBED]
            if kept.any():
                rows.setdefault(f"{part} s1-s4", []).append(
                    float(np.mean([values.mean() for values in means if len(values)]))
                )
                rows.setdefault(f"{part} s0", []).append(float(errors[kept & (conditions == "s0")].mean()))
        rows.setdefault("run 1 after a change", []).append(float(np.nanmean(errors[position == 0])))
        rows.setdefault("runs 21 on", []).append(float(np.nanmean(errors[position >= 20])))
    return rows


def steady(stream: Stream) -> dict[str, float]:
    """Compare runtime with the median of the last eight runs of the same network within the same episode.

    That median is told when the regime changes and how the run is timed: in a steady stretch it is the
    hardest baseline. Runs that have at least four such predecessors count.
    """
    before: dict[tuple[int, str, bool], list[float]] = defaultdict(list)
    places, medians = [], []
    for place, item in enumerate(stream.scored):
        own = before[int(stream.episode[place]), item.run.query.model, item.run.query.profiled]
        if len(own) >= 4:
            places.append(place)
            medians.append(abs(float(np.median(own[-8:])) / item.run.total_us - 1.0))
        own.append(item.run.total_us)
    runtime, median = stream.errors["runtime"][places], np.array(medians)
    low, high = difference_interval(runtime, median, stream.episode[places])
    return {
        "runs": float(len(places)),
        "runtime": float(runtime.mean()),
        "median of 8, told the episode": float(median.mean()),
        "difference, low": low,
        "difference, high": high,
    }


def operator_level(stream: Stream) -> dict[str, dict[str, float]]:
    """Score the runtime rung's operator means by condition, next to calm's, on all profiled runs."""
    rows = {}
    for condition in np.unique(stream.conditions).tolist():
        items = [
            item
            for item, own in zip(stream.scored, stream.conditions, strict=True)
            if own == condition and len(item.run.latency_us)
        ]
        measured = np.concatenate([item.run.latency_us for item in items])
        rows[condition] = {"operators": float(len(measured))}
        long = measured >= _LONG_OPERATOR_US
        for rung in (Rung.CALM, Rung.RUNTIME):
            means = np.concatenate([item.forecasts[rung].operators_us for item in items])
            errors = np.abs(means - measured) / np.maximum(measured, LEAST_US)
            rows[condition] |= {
                f"{rung.value} ratio of sums": float(means.sum() / measured.sum()),
                f"{rung.value} mape": float(errors.mean()),
                f"{rung.value} mape, 50 us on": float(errors[long].mean()),
            }
    return rows


def settled_after(stream: Stream, errors: Floats, within: float = 1.25) -> float:
    """Return the median over episodes of runs needed until the error is within a factor of its steady level.

    The error is the median of three neighbouring runs; the steady level the episode's median from its
    eleventh run on.
    """
    needed = []
    for episode in np.unique(stream.episode)[1:]:
        own = errors[stream.episode == episode]
        if len(own) < 15:
            continue
        steady = max(float(np.median(own[10:])), 0.02)
        smooth = [float(np.median(own[max(at - 1, 0) : at + 2])) for at in range(len(own))]
        needed.append(next((at for at, error in enumerate(smooth) if error <= within * steady), len(own)))
    return float(np.median(needed))


def coverage(stream: Stream) -> dict[str, tuple[float, int]]:
    """Return the share of runs inside the runtime rung's 90 % interval, and how many, by part."""
    inside = []
    for item in stream.scored:
        total = item.forecasts[Rung.RUNTIME].total
        inside.append(total.low_us <= item.run.total_us <= total.high_us)
    held = np.array(inside)
    parts = {"all": np.ones(len(held), bool)}
    parts |= {name: stream.conditions == name for name in np.unique(stream.conditions).tolist()}
    parts |= {
        "runs 1-5 after a change": stream.position < 5,
        "runs 6-20": (stream.position >= 5) & (stream.position < 20),
        "unseen": stream.unseen,
    }
    return {name: (float(held[part].mean()), int(part.sum())) for name, part in parts.items() if part.any()}


def false_reactions(traces: Traces) -> float:
    """Return reactions per 1,000 calm runs: predictions of an s0 stretch that leave calm by a quarter.

    The calm trace's second half is predicted by an engine calibrated on its first half, where nothing ever
    changes: whatever moves the median of a run by more than 25 % is a false reaction.
    """
    half = len(traces.calibration.runs) // 2
    engine = TestThenTrain()
    engine.calibrate(traces.calibration.runs[:half])
    scored = [engine.step(run) for run in traces.calibration.runs[half:]]
    moved = [
        abs(np.log(item.forecasts[Rung.RUNTIME].total.p50_us / item.forecasts[Rung.CALM].total.p50_us)) > 0.22
        for item in scored
    ]
    return 1000.0 * float(np.mean(moved))
