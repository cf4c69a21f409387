"""The page and the pictures of `socast experiment strategies`."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from app.experiments.cells import CHOOSERS, Cell
from app.experiments.words import Figures, host_line, percent, table, times, within

TITLES = {"runtime": "runtime", "context_frozen": "context, frozen", "calm": "calm profile"}


def text(figures: Figures, pictures: str) -> str:
    """Return the page in Markdown."""
    conditions = [name for name in figures["choice_gain"] if name != "overall"]
    gains = [
        [name, *(within(figures["choice_gain"][name].get(rung)) for rung in ("calm", "context_frozen"))]
        for name in [*conditions, "overall"]
        if name in figures["choice_gain"]
    ]
    errors = [
        [
            name,
            percent(error),
            percent(figures["plan_mape_calm"].get(name)),
            figures["plan_mape_n"][name],
        ]
        for name, error in figures["plan_mape"].items()
    ]
    regrets = [
        [title, percent(item["mean"]), percent(item["median"]), percent(item["p95"]), item["n"]]
        for title, item in (("runtime", figures["regret"]), ("calm profile", figures["regret_calm"]))
    ]
    speedups = [[model, times(value)] for model, value in figures["best_two_processor_speedup"].items()]
    return "\n".join(
        [
            "# Strategies: predicted, measured, regretted\n",
            host_line(figures),
            f"{figures['executions']:,} executions of plans in {figures['cells']} cells (a condition and a "
            "model each), every one in the table of measurements. Each predictor chose before anything was "
            "executed; executions were interleaved.\n",
            "## What choosing at run time gains\n",
            "Measured latency of the plan that the calm profile chose, and of the one that the frozen "
            "context-aware predictor chose, over that of the plan chosen by the runtime predictor: above 1 "
            "the runtime choice was faster. Medians of rounds, geometric means over cells, 95 % intervals.\n",
            table(["condition", "calm profile's choice", "context-frozen choice"], gains),
            "## How far predicted plan latencies were from measured ones\n",
            "Mean absolute percentage error of plans that had never been executed before.\n",
            table(["condition", "runtime", "calm profile", "plans"], errors),
            "## Regret\n",
            "Measured latency of the chosen plan over that of the best measured one, minus 1; one half of "
            "the rounds names the best, the other half scores.\n",
            table(["chosen by", "mean", "median", "p95", "cells"], regrets),
            "## Best plan on several processors against the best on one, calm\n",
            table(["model", "speed-up"], speedups),
            pictures,
        ]
    )


def pictures(cells: Sequence[Cell]) -> dict[str, alt.TopLevelMixin]:
    """Return the charts by file name."""
    return {"choices": _choices(cells), "predicted": _predicted(cells)}


def _choices(cells: Sequence[Cell]) -> alt.TopLevelMixin:
    rows = [
        {
            "condition": cell.condition,
            "model": cell.model,
            "chosen by": TITLES[rung.value],
            "latency (ms)": float(np.median(chosen.latency_us)) / 1000,
        }
        for cell in cells
        for rung in CHOOSERS
        if (chosen := cell.chosen(rung)) is not None
    ]
    chart: alt.TopLevelMixin = (
        alt.Chart(pd.DataFrame(rows, columns=["condition", "model", "chosen by", "latency (ms)"]))
        .mark_bar()
        .encode(
            x=alt.X("chosen by:N", title=None, sort=list(TITLES.values())),
            y=alt.Y("mean(latency (ms)):Q", title="measured latency (ms)"),
            color=alt.Color("chosen by:N", sort=list(TITLES.values()), title="plan chosen by"),
            column=alt.Column("condition:N", title=None),
            row=alt.Row("model:N", title=None),
        )
        .properties(width=90, height=140, title="Measured latency of the plan that each predictor chose")
    )
    return chart


def _predicted(cells: Sequence[Cell]) -> alt.TopLevelMixin:
    rows = [
        {
            "condition": cell.condition,
            "predicted (ms)": item.predicted_us["runtime"] / 1000,
            "measured (ms)": float(np.median(item.latency_us)) / 1000,
            "never executed before": item.novel,
        }
        for cell in cells
        for item in cell.measured
        if "runtime" in item.predicted_us
    ]
    columns = ["condition", "predicted (ms)", "measured (ms)", "never executed before"]
    frame = pd.DataFrame(rows, columns=columns)
    top = float(frame[["predicted (ms)", "measured (ms)"]].to_numpy().max(initial=1.0))
    points = (
        alt.Chart(frame)
        .mark_point(filled=True)
        .encode(
            x=alt.X("predicted (ms):Q"),
            y=alt.Y("measured (ms):Q"),
            color=alt.Color("condition:N"),
            shape=alt.Shape("never executed before:N"),
        )
    )
    line = (
        alt.Chart(pd.DataFrame({"x": [0.0, top]}))
        .mark_line(strokeDash=[4, 4])
        .encode(x=alt.X("x:Q", title="predicted (ms)"), y=alt.Y("x:Q", title="measured (ms)"))
    )
    return alt.layer(line, points).properties(
        width=380, height=380, title="Plan latency: predicted by the runtime predictor, and measured"
    )
