"""Predictors: how well each version did, and what it looks at."""

from collections.abc import Callable, Mapping

import altair as alt

from app.web.charts.style import ROWS, AnyChart, rung_colour


def accuracy() -> AnyChart:
    """Mean error of the runs that each version predicted, beside the offline profile's on the same runs."""
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_line(point=alt.OverlayMarkDef(size=55, filled=True), strokeWidth=2)
        .encode(
            x=alt.X("version:O", title="version", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("error:Q", title="mean absolute error", axis=alt.Axis(format="%", tickCount=5)),
            color=rung_colour(),
            tooltip=[
                alt.Tooltip("version:O"),
                alt.Tooltip("rung:N", title="predictor"),
                alt.Tooltip("error:Q", title="mean error", format=".1%"),
                alt.Tooltip("n:Q", title="runs", format=",d"),
                alt.Tooltip("reason:N", title="fitted because of"),
            ],
        )
        .properties(width="container", height=240)
    )
    return chart


def importance() -> AnyChart:
    """Shares of the trees' gain by feature."""
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_bar(cornerRadius=2, height={"band": 0.65})
        .encode(
            x=alt.X("share:Q", title="share of the trees' gain", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("feature:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
            color=alt.value("#2f87c4"),
            tooltip=["feature:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width="container")
    )
    return chart


def latencies() -> AnyChart:
    """Measured latencies by processor and condition: each run a dot, the median a line."""
    base = alt.Chart(ROWS).encode(
        y=alt.Y("place:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
    )
    dots = base.mark_circle(size=28, opacity=0.35).encode(
        x=alt.X(
            "ms:Q",
            title="measured latency (ms)",
            scale=alt.Scale(zero=False, nice=True),
            axis=alt.Axis(tickCount=6),
        ),
        color=alt.Color("condition:N", legend=alt.Legend(title=None)),
        tooltip=["place:N", "condition:N", alt.Tooltip("ms:Q", format=".3f")],
    )
    return alt.layer(dots).properties(width="container")


FORMS: Mapping[str, Callable[[], AnyChart]] = {
    "version-accuracy": accuracy,
    "feature-importance": importance,
    "latencies": latencies,
}
