"""Offline against runtime error under each condition: every run predicted before anything learned from it."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from app.experiments.experiment import Bench, Options, Outcome
from app.experiments.training import train
from app.experiments.words import Figures, host_line, percent, table
from app.services.report import flat_rows
from predictors.forecast import Rung

MEASURING_SHARE = 0.6
"""The rest of the time is for learning."""


def run(options: Options) -> Outcome:
    """Run or go on with the experiment in a folder."""
    with Bench.opened("errors", options) as bench:
        train(bench, MEASURING_SHARE * options.seconds)
        rows = flat_rows(bench.lab.errors("condition"))
        bench.table(
            "errors_by_condition_model_and_operator",
            flat_rows(bench.lab.errors("condition", "model", "op_type")),
        )
        bench.table("errors", rows)
        runs = [row for row in rows if row["level"] == "run"]
        return bench.finish(_summary(runs), text, {"errors": _picture(runs)}, raw="errors")


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    conditions = sorted({row["condition"] for row in rows})
    return {
        "mape": {
            name: {row["rung"]: row["mape"] for row in rows if row["condition"] == name}
            for name in conditions
        },
        "n": {name: max(row["n"] for row in rows if row["condition"] == name) for name in conditions},
    }


def text(figures: Figures, pictures: str) -> str:
    """Return the page in Markdown."""
    rows = [
        [name, figures["n"][name], *(percent(rungs.get(rung.value)) for rung in Rung)]
        for name, rungs in figures["mape"].items()
    ]
    return "\n".join(
        [
            "# Prediction error, offline and at run time\n",
            host_line(figures),
            "Mean absolute percentage error of whole runs. Each run was predicted by every rung before "
            "anything learned from it.\n",
            table(["condition", "runs", *(rung.value for rung in Rung)], rows),
            pictures,
        ]
    )


def _picture(rows: Sequence[dict[str, Any]]) -> alt.TopLevelMixin:
    frame = pd.DataFrame(rows, columns=["condition", "rung", "mape"])
    order = [rung.value for rung in Rung]
    chart: alt.TopLevelMixin = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("condition:N", title=None),
            xOffset=alt.XOffset("rung:N", sort=order),
            y=alt.Y("mape:Q", title="mean absolute percentage error", axis=alt.Axis(format="%")),
            color=alt.Color("rung:N", sort=order, title="predictor"),
        )
        .properties(width=420, height=240, title="Prediction error of whole runs by condition")
    )
    return chart
