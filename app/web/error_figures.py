"""Figures of prediction errors, the same wherever they stand."""

from collections.abc import Mapping
from typing import Any

from app.services.error_views import Distribution, Groups, hour_us
from app.web.figures import Figure
from app.web.formatting import count, iso, percent

OFFLINE, RUNTIME = "calm", "runtime"
NAMES: Mapping[str, str] = {
    OFFLINE: "offline",
    "per_condition": "per condition",
    "context_frozen": "context, frozen",
    "state_only": "state only",
    RUNTIME: "runtime",
}
SIDES = (OFFLINE, RUNTIME)
UNNAMED = "(none)"
MOST_GROUPS = 14
GROUP_PX = 38


def over_time(groups: Groups, picture: str, query: Mapping[str, Any]) -> Figure:
    """Return the median error by hour."""
    rows: list[dict[str, Any]] = [
        {
            "hour": iso(hour_us(hour)),
            "rung": NAMES[rung],
            "n": found.n,
            "p25": found.quantiles[1],
            "p50": found.median,
            "p75": found.quantiles[3],
        }
        for hour, rungs in sorted(groups.items(), key=lambda item: int(item[0]))
        for rung, found in sides(rungs)
    ]
    return Figure(
        name="error-over-time",
        chart="error-over-time",
        title="Error over time",
        summary="Median absolute error by hour in the newest week, offline and runtime; the bands hold the "
        "middle half.",
        rows=rows,
        head=("Hour (UTC)", "Predictor", "Runs", "Median error", "Middle half"),
        body=[
            (
                str(row["hour"])[:16].replace("T", " "),
                str(row["rung"]),
                count(row["n"]),
                percent(row["p50"]),
                f"{percent(row['p25'])} to {percent(row['p75'])}",
            )
            for row in rows
        ],
        picture=picture,
        query=query,
    )


def contrast(
    groups: Groups, name: str, what: str, picture: str, query: Mapping[str, Any], *, noun: str = "runs"
) -> Figure:
    """Return offline against runtime by group, those with most predictions first."""
    ranked = sorted(groups.items(), key=lambda item: -max(found.n for found in item[1].values()))
    shown = sorted(ranked[:MOST_GROUPS]) if what == "condition" else ranked[:MOST_GROUPS]
    rows: list[dict[str, Any]] = [
        {
            "group": key or UNNAMED,
            "rung": NAMES[rung],
            "n": found.n,
            "mape": found.mape,
            "coverage": found.coverage,
            "width": found.width,
            **dict(zip(("p5", "p25", "p50", "p75", "p95"), found.quantiles, strict=True)),
        }
        for key, rungs in shown
        for rung, found in sides(rungs)
    ]
    left = len(ranked) - len(shown)
    return Figure(
        name=name,
        chart="error-contrast",
        title=f"By {what}",
        summary=f"Absolute error by {what}, offline against runtime: the thick bar holds the middle half of "
        f"the {noun}, the thin one the middle 90 %, the diamond is the median.",
        rows=rows,
        head=(what.capitalize(), "Predictor", noun.capitalize(), "Median", "95th percentile", "Mean"),
        body=[
            (
                str(row["group"]),
                str(row["rung"]),
                count(row["n"]),
                percent(row["p50"]),
                percent(row["p95"]),
                percent(row["mape"]),
            )
            for row in rows
        ],
        picture=picture,
        query=query,
        height_px=len(shown) * GROUP_PX,
        note=f"The {len(shown)} with most {noun}; {left} more are in the download." if left else "",
    )


def sides(rungs: Mapping[str, Distribution]) -> list[tuple[str, Distribution]]:
    """Return offline and runtime, as far as they are there."""
    return [(rung, rungs[rung]) for rung in SIDES if rung in rungs]


def cumulative(rungs: Mapping[str, Distribution], picture: str, query: Mapping[str, Any]) -> Figure:
    """Return for every rung how many runs were how wrong."""
    present = [(name, rungs[rung]) for rung, name in NAMES.items() if rung in rungs]
    rows = [
        {"rung": name, "share": share, "error": error}
        for name, found in present
        for share, error in found.cumulative()
    ]
    return Figure(
        name="distribution",
        chart="error-cumulative",
        title="How many runs are how wrong, on every rung",
        summary="Share of runs whose absolute error is no larger than that; a line further to the left is "
        "better.",
        rows=rows,
        head=("Predictor", "Runs", "Within 10 %", "Median", "95th percentile", "Mean", "Bias"),
        body=[
            (
                name,
                count(found.n),
                percent(found.within_10),
                percent(found.median),
                percent(found.quantiles[4]),
                percent(found.mape),
                percent(found.bias),
            )
            for name, found in present
        ],
        picture=picture,
        query=query,
    )


def coverage(groups: Groups, picture: str, query: Mapping[str, Any]) -> Figure:
    """Return by condition how often the interval held the run."""
    rows: list[dict[str, Any]] = [
        {
            "group": key or UNNAMED,
            "rung": NAMES[rung],
            "n": found.n,
            "coverage": found.coverage,
            "width": found.width,
        }
        for key, rungs in groups.items()
        for rung, found in sides(rungs)
        if found.coverage is not None
    ]
    return Figure(
        name="coverage",
        chart="coverage",
        title="Do the intervals keep their promise?",
        summary="Share of runs inside the predicted 90 % interval, by condition; dashed: the promise.",
        rows=rows,
        head=("Condition", "Predictor", "Runs", "Inside", "Mean width"),
        body=[
            (row["group"], row["rung"], count(row["n"]), percent(row["coverage"]), percent(row["width"]))
            for row in rows
        ],
        picture=picture,
        query=query,
        height_px=max(len({row["group"] for row in rows}), 1) * 30,
    )
