"""How wrong: contrasts of distributions, error over time, coverage of intervals."""

from collections.abc import Callable, Mapping

import altair as alt

from app.web.charts.style import ROWS, RUNGS, AnyChart, rung_colour

_ERROR = "absolute error of the prediction"
_PERCENT = "%"


def over_time() -> AnyChart:
    """Median absolute error by hour, with the middle half of the runs as a band."""
    base = alt.Chart(ROWS).encode(
        x=alt.X(
            "hour:T",
            title=None,
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(labelOverlap=True, tickCount=5, format="%d %b %H:%M"),
        ),
        color=rung_colour(),
    )
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("p25:Q", title=_ERROR, axis=alt.Axis(format=_PERCENT, tickCount=5)), y2="p75:Q"
    )
    line = base.mark_line(point=alt.OverlayMarkDef(size=45, filled=True), strokeWidth=2).encode(
        y=alt.Y("p50:Q"),
        tooltip=[
            alt.Tooltip("hour:T", title="hour (UTC)", format="%Y-%m-%d %H:00"),
            alt.Tooltip("rung:N", title="predictor"),
            alt.Tooltip("p50:Q", title="median error", format=".1%"),
            alt.Tooltip("n:Q", title="runs", format=",d"),
        ],
    )
    return alt.layer(band, line).properties(width="container", height=240)


def contrast() -> AnyChart:
    """Offline against runtime, a line each in a group: middle 90 %, middle half, median."""
    base = alt.Chart(ROWS).encode(
        y=alt.Y("group:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
        color=rung_colour(),
        tooltip=[
            alt.Tooltip("group:N", title="group"),
            alt.Tooltip("rung:N", title="predictor"),
            alt.Tooltip("p50:Q", title="median error", format=".1%"),
            alt.Tooltip("p25:Q", title="25th percentile", format=".1%"),
            alt.Tooltip("p75:Q", title="75th percentile", format=".1%"),
            alt.Tooltip("p95:Q", title="95th percentile", format=".1%"),
            alt.Tooltip("n:Q", title="predictions", format=",d"),
        ],
    )
    axis = alt.Axis(format=_PERCENT, tickCount=5, labelOverlap=True)
    layers = []
    for rung, offset in (("offline", -7), ("runtime", 7)):
        side = base.transform_filter(f"datum.rung === '{rung}'")
        layers += [
            side.mark_bar(size=2, yOffset=offset).encode(
                x=alt.X("p5:Q", title=_ERROR, axis=axis), x2="p95:Q"
            ),
            side.mark_bar(size=10, yOffset=offset, cornerRadius=2).encode(x="p25:Q", x2="p75:Q"),
            side.mark_point(
                shape="diamond",
                filled=True,
                size=60,
                opacity=1,
                yOffset=offset,
                stroke="white",
                strokeWidth=1.2,
            ).encode(x="p50:Q"),
        ]
    return alt.layer(*layers).properties(width="container")


def cumulative() -> AnyChart:
    """For every rung the share of predictions that were no more wrong than that."""
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_line(interpolate="monotone", strokeWidth=2)
        .encode(
            x=alt.X(
                "error:Q",
                title=_ERROR,
                axis=alt.Axis(format=_PERCENT, tickCount=6),
                scale=alt.Scale(type="symlog", constant=0.1),
            ),
            y=alt.Y("share:Q", title="share of predictions", axis=alt.Axis(format=_PERCENT, tickCount=5)),
            color=rung_colour(tuple(RUNGS.values())),
            order="share:Q",
            tooltip=[
                alt.Tooltip("rung:N", title="predictor"),
                alt.Tooltip("share:Q", title="share", format=".0%"),
                alt.Tooltip("error:Q", title="error up to", format=".1%"),
            ],
        )
        .properties(width="container", height=260)
    )
    return chart


def coverage() -> AnyChart:
    """Share of runs inside the 90 % interval, by condition, with the promise as a line."""
    dots = (
        alt.Chart(ROWS)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=alt.X(
                "coverage:Q",
                title="share of runs inside the 90 % interval",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=_PERCENT, tickCount=5),
            ),
            y=alt.Y("group:N", title=None, sort=None, axis=alt.Axis(grid=True, ticks=False, domain=False)),
            color=rung_colour(),
            shape=alt.Shape(
                "rung:N",
                scale=alt.Scale(domain=["offline", "runtime"], range=["square", "circle"]),
                legend=alt.Legend(title=None),
            ),
            tooltip=[
                alt.Tooltip("group:N", title="condition"),
                alt.Tooltip("rung:N", title="predictor"),
                alt.Tooltip("coverage:Q", title="covered", format=".1%"),
                alt.Tooltip("width:Q", title="mean relative width", format=".1%"),
            ],
        )
    )
    promise = alt.Chart(ROWS).mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(0.9))
    return alt.layer(promise, dots).properties(width="container")


FORMS: Mapping[str, Callable[[], AnyChart]] = {
    "error-over-time": over_time,
    "error-contrast": contrast,
    "error-cumulative": cumulative,
    "coverage": coverage,
}
