"""Plans: who works when, what each promises, and how processors spend the time."""

from collections.abc import Callable, Mapping

import altair as alt

from app.web.charts.style import ROWS, AnyChart

_SIDES = ["offline", "runtime, chosen", "runtime, now"]


def timeline() -> AnyChart:
    """One row a processor, one bar a stage."""
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_bar(cornerRadius=2, stroke="white", strokeWidth=0.8, height={"band": 0.7})
        .encode(
            x=alt.X("start_ms:Q", title="milliseconds from the start", axis=alt.Axis(tickCount=6)),
            x2="end_ms:Q",
            y=alt.Y("processor:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
            color=alt.Color("processor:N", legend=None, sort=None),
            tooltip=[
                alt.Tooltip("processor:N"),
                alt.Tooltip("operators:N"),
                alt.Tooltip("part:N", title="part"),
                alt.Tooltip("start_ms:Q", title="start (ms)", format=".3f"),
                alt.Tooltip("end_ms:Q", title="end (ms)", format=".3f"),
            ],
        )
        .properties(width="container")
    )
    return chart


def promises() -> AnyChart:
    """For each plan the offline prediction, and the runtime one now and in the context asked about."""
    base = alt.Chart(ROWS).encode(
        y=alt.Y("plan:N", title=None, sort=None, axis=alt.Axis(grid=True, ticks=False, domain=False)),
    )
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X(
            "ms:Q",
            title="predicted latency (ms)",
            scale=alt.Scale(zero=False, nice=True),
            axis=alt.Axis(tickCount=6),
        ),
        color=alt.Color(
            "side:N",
            scale=alt.Scale(domain=_SIDES, range=["#c2500a", "#2f87c4", "#7f8b99"]),
            legend=alt.Legend(title=None),
        ),
        shape=alt.Shape(
            "side:N",
            scale=alt.Scale(domain=_SIDES, range=["square", "circle", "diamond"]),
            legend=alt.Legend(title=None),
        ),
        tooltip=[
            alt.Tooltip("plan:N"),
            alt.Tooltip("side:N", title="prediction"),
            alt.Tooltip("ms:Q", title="ms", format=".2f"),
        ],
    )
    line = base.mark_line(strokeWidth=1.2, opacity=0.5).encode(x="ms:Q", detail="plan:N")
    return alt.layer(line, points).properties(width="container")


def usage() -> AnyChart:
    """How each processor spends the time until the plan ends."""
    states = ["busy", "waiting", "idle"]
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_bar(height={"band": 0.65})
        .encode(
            x=alt.X("share:Q", title="share of the time", axis=alt.Axis(format="%"), stack="zero"),
            y=alt.Y("processor:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=states, range=["#2f87c4", "#e0a030", "#98a3b0"]),
                legend=alt.Legend(title=None),
            ),
            order=alt.Order("rank:Q"),
            tooltip=["processor:N", "state:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width="container")
    )
    return chart


def kinds() -> AnyChart:
    """Predicted latency by operator kind on one processor: what takes the time."""
    chart: AnyChart = (
        alt.Chart(ROWS)
        .mark_bar(cornerRadius=2, height={"band": 0.65})
        .encode(
            x=alt.X("ms:Q", title="predicted milliseconds", axis=alt.Axis(tickCount=6)),
            y=alt.Y("kind:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
            color=alt.value("#2f87c4"),
            tooltip=["kind:N", alt.Tooltip("ms:Q", format=".3f"), alt.Tooltip("count:Q", format=",d")],
        )
        .properties(width="container")
    )
    return chart


FORMS: Mapping[str, Callable[[], AnyChart]] = {
    "plan-timeline": timeline,
    "plan-promises": promises,
    "plan-usage": usage,
    "operator-kinds": kinds,
}
