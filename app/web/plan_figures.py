"""Figures of plans."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from app.planning.plan import Plan, Stage
from app.services.predict import RUNTIME, Prediction
from app.web.figures import Figure
from app.web.formatting import count, latency, percent

PICTURES = "/charts/plans"
ROW_PX = 34
MOST_KINDS = 12
MOST_NAMES = 3


def label(plan: Plan) -> str:
    """Return what tells a plan from its neighbours: strategy and processors."""
    return f"{plan.strategy} · {' + '.join(sorted({stage.processor for stage in plan.stages}))}"


def timeline(plan: Plan, query: Mapping[str, Any]) -> Figure:
    """Return who works when in one plan."""
    rows: list[dict[str, Any]] = [
        {
            "processor": stage.processor,
            "start_ms": stage.start_us / 1e3,
            "end_ms": stage.end_us / 1e3,
            "operators": _operators(stage),
            "part": _part(stage),
        }
        for stage in plan.stages
    ]
    return Figure(
        name="timeline",
        chart="plan-timeline",
        title=f"Timeline of {label(plan)}",
        summary=f"{len(plan.stages)} stages on {len({row['processor'] for row in rows})} processors, "
        f"{latency(plan.latency_us.mean)} from start to end; a bar is a stage.",
        rows=rows,
        head=("Processor", "Start", "End", "Operators", "Part"),
        body=[
            (
                stage.processor,
                latency(stage.start_us),
                latency(stage.end_us),
                _operators(stage),
                _part(stage),
            )
            for stage in plan.stages
        ],
        picture=PICTURES,
        query=query,
        height_px=max(len({row["processor"] for row in rows}), 1) * ROW_PX,
    )


def promises(plans: Sequence[Plan], now: Mapping[str, float], query: Mapping[str, Any]) -> Figure:
    """Return what each plan promises: offline, in the context asked about, and now (mean by plan label)."""
    rows = []
    body = []
    for plan in plans:
        name = label(plan)
        sides = {"offline": plan.offline_latency_us, "runtime, chosen": plan.latency_us.mean}
        if name in now:
            sides["runtime, now"] = now[name]
        rows += [{"plan": name, "side": side, "ms": value / 1e3} for side, value in sides.items()]
        body.append(
            (
                name,
                *(latency(sides.get(side)) for side in ("offline", "runtime, chosen", "runtime, now")),
            )
        )
    return Figure(
        name="promises",
        chart="plan-promises",
        title="Offline against runtime",
        summary="What each plan takes by the frozen offline profile, and by the runtime predictor: "
        "in the chosen context, and in the device's latest one where that differs.",
        rows=rows,
        head=("Plan", "Offline", "Runtime, chosen", "Runtime, now"),
        body=body,
        picture=PICTURES,
        query=query,
        height_px=len(plans) * 28,
    )


def usage(plan: Plan, query: Mapping[str, Any]) -> Figure:
    """Return how the processors spend the time."""
    states = ("busy", "waiting", "idle")
    rows = [
        {"processor": name, "state": state, "rank": rank, "share": getattr(shares, state)}
        for name, shares in plan.processors.items()
        for rank, state in enumerate(states)
    ]
    return Figure(
        name="usage",
        chart="plan-usage",
        title="Where processors spend the time",
        summary="Working, waiting for others, or done and unused, until the plan ends.",
        rows=rows,
        head=("Processor", "Busy", "Waiting", "Idle"),
        body=[
            (name, percent(shares.busy), percent(shares.waiting), percent(shares.idle))
            for name, shares in plan.processors.items()
        ],
        picture=PICTURES,
        query=query,
        height_px=len(plan.processors) * ROW_PX,
    )


def kinds(prediction: Prediction, processor: str, picture: str, query: Mapping[str, Any]) -> Figure:
    """Return where the time goes on one processor, by operator kind."""
    sums: dict[str, float] = defaultdict(float)
    numbers: dict[str, int] = defaultdict(int)
    latencies = prediction.forecasts[RUNTIME].operators_us.tolist()
    for operator, value in zip(prediction.operators, latencies, strict=True):
        sums[operator.op_type] += value
        numbers[operator.op_type] += 1
    ranked = sorted(sums, key=lambda kind: -sums[kind])[:MOST_KINDS]
    rows = [{"kind": kind, "ms": sums[kind] / 1e3, "count": numbers[kind]} for kind in ranked]
    return Figure(
        name="kinds",
        chart="operator-kinds",
        title=f"Where the time goes on {processor}",
        summary="Predicted latency of all operators of a kind, by the runtime predictor, if all runs there.",
        rows=rows,
        head=("Operator kind", "Operators", "Predicted"),
        body=[(kind, count(numbers[kind]), latency(sums[kind])) for kind in ranked],
        picture=picture,
        query=query,
        height_px=max(len(rows), 1) * 26,
    )


def _operators(stage: Stage) -> str:
    names = ", ".join(stage.operators[:MOST_NAMES])
    more = len(stage.operators) - MOST_NAMES
    return f"{names} and {more} more" if more > 0 else names


def _part(stage: Stage) -> str:
    split = stage.split
    return "all" if split is None else f"{split.dimension} {split.low:.0%} to {split.high:.0%}"
