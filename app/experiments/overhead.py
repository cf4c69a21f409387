"""What profiling, probing, reporting and planning cost, against what adapting gains under load."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.experiments import strategies
from app.experiments.cells import Cell
from app.experiments.experiment import Bench, Options, Outcome
from app.experiments.training import train
from app.experiments.words import Figures, host_line, table, times
from collectors.pinning import pinned
from collectors.runners.onnxruntime_runner import OnnxRuntimeRunner
from collectors.scratch import scratch_folder
from predictors.forecast import Rung

TRAINING_SHARE = 0.3
REPEATS = 15
CONDITION = "s1"
CELLS = 3


def run(options: Options) -> Outcome:
    """Run or go on with the experiment in a folder."""
    with Bench.opened("overhead", options) as bench:
        train(bench, TRAINING_SHARE * options.seconds)
        if not bench.journal.all("costs"):
            bench.told.say("timing what measuring costs")
            bench.journal.put("costs", rows=_costs(bench))
        cells = _cells(bench)
        rows = bench.journal.all("costs")[0]["rows"]
        bench.table("costs", rows)
        bench.table("executions", [row for cell in cells for row in cell.rows()])
        summary = _summary(rows, cells)
        return bench.finish(summary, text, {"overhead": _picture(summary)}, raw="costs")


def _cells(bench: Bench) -> list[Cell]:
    """Execute what the calm profile and the runtime predictor chose while a core is loaded."""
    for number in range(len(bench.journal.all("cell")), CELLS):
        bench.told.say("executing static and re-planned choices under load")
        seconds = max(bench.left_s / (CELLS - number), strategies.LEAST_CELL_S)
        strategies.fill(bench, number, CONDITION, seconds)
    return strategies.cells(bench)


def _costs(bench: Bench) -> list[dict[str, object]]:
    """Time each step of measuring, reporting and planning on a calm machine, interleaved."""
    file = bench.evaluated[0]
    processor = bench.processors[0]
    rows: list[dict[str, object]] = []
    with scratch_folder() as scratch, pinned(processor.core):
        model = OnnxRuntimeRunner(scratch).load(file)
        model.prepare(profiled=True)
        try:
            steps: Mapping[str, Callable[[], object]] = {
                "a run, not profiled": lambda: model.run(profiled=False),
                "a run, profiled": lambda: model.run(profiled=True),
                "sensors and probes": lambda: bench.soundings.context(processor),
            }
            for repeat in range(REPEATS + 1):
                for name, step in steps.items():
                    taken_us = _timed_us(step)
                    if repeat:
                        rows.append({"step": name, "repeat": repeat, "taken_us": taken_us})
        finally:
            model.close()
    contexts = bench.soundings.sound("s0", strategies.SOUNDING_S)
    waiting = bench.soundings.spool.pending()
    taken_us = _timed_us(lambda: bench.lab.take(bench.soundings.spool)) / max(waiting, 1)
    rows.append({"step": "storing a reported run", "repeat": 1, "taken_us": taken_us})
    learned: list[int] = []
    taken_us = _timed_us(lambda: learned.extend(bench.lab.learn())) / max(sum(learned), 1)
    rows.append({"step": "learning from a run", "repeat": 1, "taken_us": taken_us})
    for repeat in range(5):
        taken_us = _timed_us(lambda: bench.lab.plan([file.identity.digest], contexts))
        rows.append({"step": "planning", "repeat": repeat + 1, "taken_us": taken_us})
    return rows


def _timed_us(step: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    step()
    return (time.perf_counter_ns() - start_ns) / 1000


def _summary(rows: list[dict[str, Any]], cells: list[Cell]) -> dict[str, Any]:
    frame = pd.DataFrame(rows)
    cost = {str(name): float(group["taken_us"].median()) for name, group in frame.groupby("step")}
    pairs = [
        (float(np.median(calm.latency_us)), float(np.median(own.latency_us)))
        for cell in cells
        if (calm := cell.chosen(Rung.CALM)) is not None and (own := cell.chosen(Rung.RUNTIME)) is not None
    ]
    static_us, adapted_us = (
        (float(np.mean(column)) for column in zip(*pairs, strict=True)) if pairs else (None, None)
    )
    gain_us = None if static_us is None or adapted_us is None else static_us - adapted_us
    adapting_us = cost["sensors and probes"] + cost["planning"]
    return {
        "cost_us": cost,
        "profiler_share": cost["a run, profiled"] / cost["a run, not profiled"] - 1,
        "probing_share": cost["sensors and probes"] / cost["a run, not profiled"],
        "static_us": static_us,
        "adapted_us": adapted_us,
        "gain_us": gain_us,
        "inferences_to_pay_back": adapting_us / gain_us if gain_us is not None and gain_us > 0 else None,
        "model": cells[0].model if cells else None,
    }


def text(figures: Figures, pictures: str) -> str:
    """Return the page in Markdown."""
    rows = [[name, f"{cost_us:,.0f}"] for name, cost_us in figures["cost_us"].items()]
    gained = (
        "No pair of choices could be executed."
        if figures["gain_us"] is None
        else f"With a core loaded ({CONDITION}), {figures['model']} took "
        f"{figures['static_us'] / 1000:.1f} ms under the plan of the calm profile and "
        f"{figures['adapted_us'] / 1000:.1f} ms under that of the runtime predictor: "
        f"{times(figures['static_us'] / figures['adapted_us'])}. "
    )
    back = figures["inferences_to_pay_back"]
    paid = (
        f"Looking and planning anew is paid back after {back:.1f} inferences."
        if back is not None
        else "Adapting gained nothing here, so it is not paid back."
    )
    return "\n".join(
        [
            "# What measuring and adapting cost, and what they gain\n",
            host_line(figures),
            table(["step", "median (µs)"], rows),
            f"The profiler made a run {100 * figures['profiler_share']:.1f} % longer; sensors and probes "
            f"take {100 * figures['probing_share']:.1f} % of a run, before it. {gained}{paid}\n",
            pictures,
        ]
    )


def _picture(summary: dict[str, Any]) -> alt.TopLevelMixin:
    rows = [{"step": name, "cost (µs)": cost_us} for name, cost_us in summary["cost_us"].items()]
    if summary["gain_us"] is not None:
        rows.append({"step": "gain of adapting, an inference", "cost (µs)": max(summary["gain_us"], 0.0)})
    chart: alt.TopLevelMixin = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(y=alt.Y("step:N", title=None, sort="-x"), x=alt.X("cost (µs):Q", title="µs"))
        .properties(width=380, title="What each step costs")
    )
    return chart
