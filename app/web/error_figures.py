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
        summary="Median absolute error of whole runs by hour, offline and runtime; the bands hold the middle "
        "half of the runs.",
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
