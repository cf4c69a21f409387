"""The report of a replay: figures by group and rung on both levels, and one CSV line a run."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.evaluate import Scored
from predictors.forecast import Rung
from predictors.scores import operator_scores, run_scores

COLUMNS = (
    *("run_id", "device_id", "processor", "model", "condition", "profiled", "measured_us", "offline_us"),
    *("context_frozen_us", "runtime_us", "runtime_mean_us", "runtime_low_us", "runtime_high_us", "unseen"),
)

AFTER_CHANGE = ("1-5", "6-20", "later")


def report(scored: Sequence[Scored], runs_per_s: float) -> dict[str, Any]:
    """Return the replay's report; groups without a single run are left out."""
    places = after_change(scored)
    groups: dict[str, Any] = {"all": group(scored)}
    for name, labels in (
        ("condition", [item.run.query.condition or "" for item in scored]),
        ("processor", [item.run.query.key.processor for item in scored]),
    ):
        parts: dict[str, list[Scored]] = defaultdict(list)
        for label, item in zip(labels, scored, strict=True):
            parts[label].append(item)
        groups[name] = {part: group(items) for part, items in sorted(parts.items())}
    groups["unseen"] = group([item for item in scored if item.unseen])
    groups["after_change"] = {
        place: group([item for item, own in zip(scored, places, strict=True) if own == place])
        for place in AFTER_CHANGE
    }
    return {"runs_per_s": round(runs_per_s, 1), **groups}


def after_change(scored: Sequence[Scored]) -> list[str]:
    """Return for each run where it stands after its device's last change of condition."""
    last: dict[str, tuple[str | None, int]] = {}
    places = []
    for item in scored:
        query = item.run.query
        condition, count = last.get(query.device_id, (query.condition, 20))
        count = count + 1 if condition == query.condition else 1
        last[query.device_id] = (query.condition, count)
        places.append(AFTER_CHANGE[0] if count <= 5 else AFTER_CHANGE[1] if count <= 20 else AFTER_CHANGE[2])
    return places


def group(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return the figures of one group of runs for every rung that was asked."""
    if not scored:
        return {"n": 0, "rungs": {}}
    measured = np.array([item.run.total_us for item in scored])
    rungs = {rung.value: {"run": _runs(scored, rung, measured)} for rung in scored[0].forecasts}
    timed = [item for item in scored if len(item.run.latency_us)]
    if timed:
        latencies = np.concatenate([item.run.latency_us for item in timed])
        for rung in scored[0].forecasts:
            predicted = np.concatenate([item.forecasts[rung].operators_us for item in timed])
            rungs[rung.value]["operator"] = operator_scores(latencies, predicted)
    return {"n": len(scored), "rungs": rungs}


def _runs(scored: Sequence[Scored], rung: Rung, measured: NDArray[np.float64]) -> dict[str, float]:
    totals = [item.forecasts[rung].total for item in scored]
    mean, p50, p90, p99, low, high = np.array(
        [(t.mean_us, t.p50_us, t.p90_us, t.p99_us, t.low_us, t.high_us) for t in totals]
    ).T
    return run_scores(measured, mean, {0.05: low, 0.5: p50, 0.9: p90, 0.95: high, 0.99: p99}, low, high)


def write_predictions(path: Path, scored: Iterable[Scored], model_names: Mapping[str, str]) -> None:
    """Write one line a run, in order; no field is ever empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for item in scored:
            query = item.run.query
            runtime = item.forecasts[Rung.RUNTIME].total
            points = (
                item.run.total_us,
                item.forecasts[Rung.CALM].total.p50_us,
                item.forecasts[Rung.CONTEXT_FROZEN].total.p50_us,
                *(runtime.p50_us, runtime.mean_us, runtime.low_us, runtime.high_us),
            )
            writer.writerow(
                [
                    item.run.run_id,
                    query.device_id,
                    query.key.processor,
                    model_names.get(query.model, query.model),
                    query.condition or "unlabelled",
                    int(query.profiled),
                    *(f"{value:.3f}" for value in points),
                    int(item.unseen),
                ]
            )
