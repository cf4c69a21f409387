"""Sub-graph, inter-operator, intra-operator and task scheduling with 0 to 4 competing processes.

Two inferences are waiting. The first three granularities run them one after the other, each on all
processors; task scheduling runs them at once. What is told is the time for one inference.
"""

import random
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.experiments import regimes
from app.experiments.cells import first, processors_of
from app.experiments.experiment import Bench, Options, Outcome
from app.experiments.interleaved import Contender, measure
from app.experiments.training import train
from app.experiments.words import Figures, host_line, table
from app.planning.strategy import Granularity
from collectors.load import applied
from predictors.regret import LEAST_REPEATS

COMPETITORS = (0, 1, 2, 3, 4)
TRAINING_SHARE = 0.3
TASKS = 2
LEAST_S = 2.0
MOST_ROUNDS = 30
SOUNDING_S = 0.25


def run(options: Options) -> Outcome:
    """Run or go on with the experiment in a folder."""
    with Bench.opened("granularity", options) as bench:
        train(bench, TRAINING_SHARE * options.seconds)
        done = {step["competitors"] for step in bench.journal.all("measured")}
        for place, count in enumerate(COMPETITORS):
            if count not in done:
                seconds = max(bench.left_s / (len(COMPETITORS) - place) - LEAST_S, LEAST_S)
                bench.told.say(f"{count} competing processes")
                bench.journal.put("measured", competitors=count, rows=_measure(bench, count, seconds))
        rows = [row for step in bench.journal.all("measured") for row in step["rows"]]
        bench.table("measurements", rows)
        summary = _summary(rows)
        return bench.finish(summary, text, {"granularity": _picture(summary)}, raw="measurements")


def _measure(bench: Bench, count: int, seconds: float) -> list[dict[str, object]]:
    """Execute the best plan of each granularity in turns beside so many competing processes."""
    file = bench.evaluated[0]
    cores = [processor.core for processor in bench.processors]
    rows: list[dict[str, object]] = []
    with applied(regimes.competitors(count, cores), bench.longest_s(seconds)):
        contexts = bench.soundings.sound(f"{count} competing", SOUNDING_S)
        bench.lab.take(bench.soundings.spool)
        model = file.path.read_bytes()
        for granularities, tasks in (
            (tuple(g for g in Granularity if g is not Granularity.TASK), 1),
            ((Granularity.TASK,), TASKS),
        ):
            digests = [file.identity.digest] * tasks
            contenders = [
                Contender([best])
                for granularity in granularities
                if (best := first(bench.lab.plan(digests, contexts, granularities=(granularity,))))
                is not None
            ]
            measure(
                contenders,
                [model] * tasks,
                bench.processors,
                seconds=seconds * len(granularities) / len(Granularity),
                most_rounds=MOST_ROUNDS,
                rng=random.Random(f"{bench.options.seed} {count}"),
                least_rounds=LEAST_REPEATS,
            )
            rows += [
                {
                    "competitors": count,
                    "model": file.identity.name,
                    "granularity": item.plan.granularity,
                    "strategy": item.plan.strategy,
                    "processors": " ".join(processors_of(item.plan)),
                    "stages": len(item.plan.stages),
                    "round": place,
                    "predicted_us": item.plan.latency_us.mean / tasks,
                    "measured_us": latency_us / tasks,
                }
                for item in contenders
                for place, latency_us in enumerate(item.latencies_us)
            ]
    return rows


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, dict[str, float]] = {}
    for granularity in Granularity:
        for count in COMPETITORS:
            own = [
                row["measured_us"]
                for row in rows
                if (row["granularity"], row["competitors"]) == (granularity.value, count)
            ]
            if own:
                found.setdefault(granularity.value, {})[str(count)] = float(np.median(own))
    return {"latency_us": found, "model": rows[0]["model"] if rows else None, "executions": len(rows)}


def text(figures: Figures, pictures: str) -> str:
    """Return the page in Markdown."""
    rows = [
        [name, *(_milliseconds(by_count.get(str(count))) for count in COMPETITORS)]
        for name, by_count in figures["latency_us"].items()
    ]
    return "\n".join(
        [
            f"# How fine to cut {figures['model']}\n",
            host_line(figures),
            "Median measured time of one inference (ms) under the best predicted plan of each granularity, "
            f"beside 0 to 4 competing processes. Task scheduling runs {TASKS} inferences at once; its time "
            "is that of both, divided by their number.\n",
            table(["granularity", *(f"{count} competing" for count in COMPETITORS)], rows),
            pictures,
        ]
    )


def _milliseconds(latency_us: float | None) -> str:
    return "–" if latency_us is None else f"{latency_us / 1000:.1f}"


def _picture(summary: dict[str, Any]) -> alt.TopLevelMixin:
    rows = [
        {"granularity": name, "competing processes": int(count), "latency (ms)": latency_us / 1000}
        for name, by_count in summary["latency_us"].items()
        for count, latency_us in by_count.items()
    ]
    chart: alt.TopLevelMixin = (
        alt.Chart(pd.DataFrame(rows, columns=["granularity", "competing processes", "latency (ms)"]))
        .mark_line(point=True)
        .encode(
            x=alt.X("competing processes:O"),
            y=alt.Y("latency (ms):Q", title="time of one inference (ms)"),
            color=alt.Color("granularity:N"),
        )
        .properties(width=420, height=240, title="Granularity of scheduling under competition")
    )
    return chart
