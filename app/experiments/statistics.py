"""What cells of executed plans say: errors, gains, regret and speed-ups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.experiments.cells import CHOOSERS, Cell, Measured
from predictors.estimates import RESAMPLES, bootstrap, mean, median, p95
from predictors.forecast import Rung
from predictors.regret import SPLITS, split_half

Floats = NDArray[np.float64]
Figures = dict[str, float | int | None]
OVERALL = "overall"


def plan_mape(cells: Sequence[Cell], rung: Rung, *, novel: bool) -> dict[str, Figures]:
    """Return by condition how far a predictor's expectation was from the median measured latency.

    With `novel` only partitions that had never been executed before count.
    """
    errors: dict[str, list[float]] = {}
    for cell in cells:
        for item in cell.measured:
            if rung.value in item.predicted_us and (item.novel or not novel):
                measured_us = float(np.median(item.latency_us))
                error = abs(item.predicted_us[rung.value] - measured_us) / measured_us
                errors.setdefault(cell.condition, []).append(error)
    return {
        name: {"mape": float(np.mean(values)), "n": len(values)} for name, values in sorted(errors.items())
    }


def choice_gain(cells: Sequence[Cell], rung: Rung) -> dict[str, Figures]:
    """Return by condition and overall the latency of a rung's choices over that of the runtime one's.

    `value` is the geometric mean over cells of the ratio of medians; `low` and `high` bound it with 95 %:
    cells are resampled, and the rounds inside each.
    """
    pairs: dict[str, list[tuple[Floats, Floats]]] = {}
    for cell in cells:
        other, own = cell.chosen(rung), cell.chosen(Rung.RUNTIME)
        if other is not None and own is not None:
            pair = np.array(other.latency_us), np.array(own.latency_us)
            pairs.setdefault(cell.condition, []).append(pair)
            pairs.setdefault(OVERALL, []).append(pair)
    return {name: _gain(items) for name, items in sorted(pairs.items())}


def _gain(pairs: Sequence[tuple[Floats, Floats]]) -> Figures:
    generator = np.random.default_rng(0)
    logs = [
        [
            _log_ratio(pairs[place][0], pairs[place][1], generator)
            for place in generator.integers(0, len(pairs), len(pairs)).tolist()
        ]
        for _ in range(RESAMPLES)
    ]
    low, high = np.exp(np.quantile(np.mean(logs, axis=1), [0.025, 0.975]))
    value = np.exp(np.mean([_log_ratio(over, under) for over, under in pairs]))
    return {"value": float(value), "low": float(low), "high": float(high), "n": len(pairs)}


def _log_ratio(over: Floats, under: Floats, generator: np.random.Generator | None = None) -> float:
    """Return the log ratio of the medians of paired rounds, resampled where there is a generator."""
    if generator is not None:
        rounds = generator.integers(0, len(over), len(over))
        over, under = over[rounds], under[rounds]
    return float(np.log(np.median(over) / np.median(under)))


def regret(cells: Sequence[Cell], rung: Rung) -> Figures:
    """Return mean, median and p95 over cells of what a predictor's choice lost against the best measured."""
    found = []
    shares = []
    for cell in cells:
        chosen = cell.chosen(rung)
        table = {item.plan_id: item.latency_us for item in cell.measured}
        scored = split_half(table, chosen.plan_id) if chosen is not None else None
        if scored is not None:
            found.append(scored.regret)
            shares.append(scored.best)
    if not found:
        return {"mean": None, "median": None, "p95": None, "best_share": None, "n": 0}
    figures: Figures = {"n": len(found), "best_share": float(np.mean(shares))}
    for name, statistic in (("mean", mean), ("median", median), ("p95", p95)):
        estimate = bootstrap(found, statistic, least=1)
        figures |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return figures


def two_processor_speedup(cells: Sequence[Cell]) -> dict[str, Figures]:
    """Return by model how much faster the best plan on several processors ran than the best on one, in s0.

    One half of the rounds names both, the other half scores them.
    """
    ratios: dict[str, list[float]] = {}
    for cell in cells:
        if cell.condition != "s0":
            continue
        single = [item for item in cell.measured if len(item.processors) == 1]
        several = [item for item in cell.measured if len(item.processors) > 1]
        if single and several:
            ratios.setdefault(cell.model, []).append(_speedup(single, several))
    return {
        model: {"value": float(np.exp(np.mean(logs))), "n": len(logs)}
        for model, logs in sorted(ratios.items())
    }


def _speedup(single: Sequence[Measured], several: Sequence[Measured]) -> float:
    """Return the mean log ratio over random halvings."""
    slow, fast = (np.array([item.latency_us for item in items]) for items in (single, several))
    generator = np.random.default_rng(0)
    logs = []
    for _ in range(SPLITS):
        order = generator.permutation(slow.shape[1])
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        for pick, score in (halves, halves[::-1]):
            scores = []
            for table in (slow, fast):
                best = np.argmin(np.median(table[:, pick], axis=1))
                scores.append(np.median(table[best, score]))
            logs.append(np.log(scores[0] / scores[1]))
    return float(np.mean(logs))


def summary(cells: Sequence[Cell]) -> dict[str, object]:
    """Return everything that is said of the strategies' cells."""
    gains = {rung.value: choice_gain(cells, rung) for rung in CHOOSERS if rung is not Rung.RUNTIME}
    errors = plan_mape(cells, Rung.RUNTIME, novel=True)
    speedups = two_processor_speedup(cells)
    return {
        "plan_mape": {name: figures["mape"] for name, figures in errors.items()},
        "plan_mape_n": {name: figures["n"] for name, figures in errors.items()},
        "plan_mape_calm": {
            name: figures["mape"] for name, figures in plan_mape(cells, Rung.CALM, novel=True).items()
        },
        "choice_gain": {
            name: {rung: gain[name] for rung, gain in gains.items() if name in gain}
            for name in sorted({name for gain in gains.values() for name in gain})
        },
        "regret": regret(cells, Rung.RUNTIME),
        "regret_calm": regret(cells, Rung.CALM),
        "best_two_processor_speedup": {model: item["value"] for model, item in speedups.items()},
        "cells": len(cells),
        "executions": sum(len(item.latency_us) for cell in cells for item in cell.measured),
    }
