"""The report of a replay: figures by group and rung on both levels, and one CSV line a run."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors import scores
from predictors.evaluate import Scored
from predictors.forecast import Rung

Floats = NDArray[np.float64]

COLUMNS = (
    *("run_id", "device_id", "processor", "model", "condition", "profiled", "measured_us", "offline_us"),
    *("context_frozen_us", "runtime_us", "runtime_mean_us", "runtime_low_us", "runtime_high_us", "unseen"),
)

AFTER_CHANGE = ("1-5", "6-20", "later")

UNLABELLED = "unlabelled"
"""The condition of runs that carry no label."""


@dataclass(frozen=True)
class _Counted:
    """One run on one rung and level: how many predictions, their summed terms and absolute errors."""

    n: int
    sums: Mapping[str, float]
    ape: Floats


Counted = Mapping[tuple[str, str], _Counted]
"""By rung and level."""


def report(scored: Sequence[Scored], runs_per_s: float) -> dict[str, Any]:
    """Return the replay's report; groups without a single run are left out."""
    counted = [_count(item) for item in scored]
    places = after_change(scored)

    def group(members: Sequence[bool]) -> dict[str, Any]:
        return _group(list(compress(counted, members)))

    groups: dict[str, Any] = {"all": _group(counted)}
    for name, labels in (
        ("condition", [item.run.query.condition or UNLABELLED for item in scored]),
        ("processor", [item.run.query.key.processor for item in scored]),
    ):
        groups[name] = {part: group([label == part for label in labels]) for part in sorted(set(labels))}
    groups["unseen"] = group([item.unseen for item in scored])
    groups["after_change"] = {part: group([place == part for place in places]) for part in AFTER_CHANGE}
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


def _count(item: Scored) -> Counted:
    counted = {}
    run = item.run
    for rung, forecast in item.forecasts.items():
        terms = scores.run_terms(run.total_us, forecast.total)
        counted[rung.value, "run"] = _Counted(1, terms, np.array([terms["ape"]]))
        if 0 < len(run.latency_us) == len(forecast.operators_us):
            own = scores.operator_terms(run.latency_us, forecast)
            sums = {name: float(values.sum()) for name, values in own.items()}
            counted[rung.value, "operator"] = _Counted(len(run.latency_us), sums, own["ape"])
    return counted


def _group(members: Sequence[Counted]) -> dict[str, Any]:
    """Return the figures of one group of runs for every rung that was asked."""
    parts: dict[tuple[str, str], list[_Counted]] = defaultdict(list)
    for member in members:
        for place, counted in member.items():
            parts[place].append(counted)
    rungs: dict[str, dict[str, Any]] = defaultdict(dict)
    for (rung, level), own in parts.items():
        sums = {name: sum(item.sums[name] for item in own) for name in own[0].sums}
        median_ape = float(np.median(np.concatenate([item.ape for item in own])))
        rungs[rung][level] = scores.figures(sum(item.n for item in own), sums, median_ape)
    return {"n": len(members), "rungs": rungs}


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
                    query.condition or UNLABELLED,
                    int(query.profiled),
                    *(f"{value:.3f}" for value in points),
                    int(item.unseen),
                ]
            )
