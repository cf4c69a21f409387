"""Operator support and fall-back ratios by engine and model: every distinct operator is tried for real."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from app.experiments.experiment import Bench, Options, Outcome
from app.experiments.words import Figures, host_line, percent, table
from collectors.device import ENGINES, ONNXRUNTIME, OPENVINO
from collectors.errors import CollectorError, PlanError
from collectors.executor.engines import build
from collectors.executor.source import SourceModel
from collectors.executor.stage_model import cut_stage
from collectors.models import ModelFile, find_models
from collectors.openvino import openvino

PREFIXES = {engine: prefix for prefix, engine in ENGINES.items()}
"""Of the names of processors under each engine."""


def run(options: Options) -> Outcome:
    """Run or go on with the experiment in a folder."""
    with Bench.opened("fallback", options) as bench:
        engines, absent = _engines()
        done = {step["model"] for step in bench.journal.all("tried")}
        for file in find_models(options.models):
            if file.identity.name not in done and (bench.left_s > 0 or not done):
                bench.told.say(f"trying every operator of {file.identity.name}")
                end = time.monotonic() + (bench.left_s if done else float("inf"))
                rows = [row for name in engines for row in _tried(file, name, end)]
                if time.monotonic() > end:
                    break
                bench.journal.put("tried", model=file.identity.name, rows=rows)
                done.add(file.identity.name)
        rows = [row for step in bench.journal.all("tried") for row in step["rows"]]
        bench.table("operators", rows)
        summary = {**_summary(rows), "absent_engines": absent}
        return bench.finish(summary, text, {"fallback": _picture(rows)}, raw="operators")


def _engines() -> tuple[list[str], dict[str, str]]:
    """Return the engines that are installed, and why others are not used."""
    try:
        openvino()
    except CollectorError as error:
        return [ONNXRUNTIME], {OPENVINO: str(error)}
    return list(PREFIXES), {}


def _tried(file: ModelFile, engine: str, end: float) -> list[dict[str, object]]:
    """Have an engine build each operator of a model by itself, while there is time.

    A model that cannot be cut is one row.
    """
    try:
        source = SourceModel(file.path.read_bytes())
    except PlanError as error:
        return [_row(file, engine, "", "", str(error))]
    known: dict[str, str] = {}
    rows = []
    for node in source.graph.nodes:
        if time.monotonic() > end:
            break
        if node.name in source.nodes:
            key = node.operator.canonical
            if key not in known:
                known[key] = _refusal(source, node.name, list(node.outputs), engine)
            rows.append(_row(file, engine, node.name, node.operator.op_type, known[key]))
    return rows


def _refusal(source: SourceModel, name: str, outputs: Sequence[str], engine: str) -> str:
    """Return why an engine cannot run an operator by itself; empty where it can."""
    core = min(os.sched_getaffinity(0))
    try:
        cut = cut_stage(source, [name], [output for output in outputs if output], None)
        inputs = {tensor: np.zeros(source.shape(tensor), source.dtype(tensor)) for tensor in cut.inputs}
        results = [np.zeros(source.shape(tensor), source.dtype(tensor)) for tensor in cut.outputs]
        build(f"{PREFIXES[engine]}:{core}", core, cut.model.SerializeToString(), inputs, results).run()
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is why it cannot
        return str(error).splitlines()[0][:200] or type(error).__name__
    return ""


def _row(file: ModelFile, engine: str, operator: str, op_type: str, refusal: str) -> dict[str, object]:
    return {
        "engine": engine,
        "model": file.identity.name,
        "operator": operator,
        "op_type": op_type,
        "supported": not refusal,
        "refusal": refusal,
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ratios: dict[str, dict[str, float]] = {}
    missing: dict[str, list[str]] = {}
    for engine in dict.fromkeys(row["engine"] for row in rows):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = [row for row in rows if (row["engine"], row["model"]) == (engine, model)]
            if own:
                ratios.setdefault(engine, {})[model] = sum(not row["supported"] for row in own) / len(own)
        types = {row["op_type"] for row in rows if row["engine"] == engine and not row["supported"]}
        missing[engine] = sorted(types)
    return {"fallback_ratio": ratios, "unsupported": missing, "operators": len(rows)}


def text(figures: Figures, pictures: str) -> str:
    """Return the page in Markdown."""
    ratios = figures["fallback_ratio"]
    models = list(dict.fromkeys(model for by_model in ratios.values() for model in by_model))
    rows = [[model, *(percent(ratios[engine].get(model)) for engine in ratios)] for model in models]
    lists = [f"- {engine}: {', '.join(types) or 'none'}" for engine, types in figures["unsupported"].items()]
    absent = [f"- {engine} was not tried: {reason}" for engine, reason in figures["absent_engines"].items()]
    return "\n".join(
        [
            "# What falls back, by engine and model\n",
            host_line(figures),
            "Share of a model's operators that an engine cannot run by itself, so that a plan has to put "
            "them elsewhere. Each distinct operator was built and run.\n",
            table(["model", *ratios], rows),
            "Unsupported operator types:\n",
            *lists,
            *absent,
            "",
            pictures,
        ]
    )


def _picture(rows: Sequence[Mapping[str, Any]]) -> alt.TopLevelMixin:
    frame = pd.DataFrame(rows, columns=["engine", "model", "supported"])
    frame["fall-back"] = (~frame["supported"].astype(bool)).astype(float)
    chart: alt.TopLevelMixin = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            y=alt.Y("model:N", title=None),
            yOffset="engine:N",
            x=alt.X(
                "mean(fall-back):Q", title="share of operators that fall back", axis=alt.Axis(format="%")
            ),
            color="engine:N",
        )
        .properties(width=360, title="Fall-back ratio by engine and model")
    )
    return chart
