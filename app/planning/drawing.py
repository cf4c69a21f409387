"""Draw a plan's timeline: one row a processor, one bar a stage, for a terminal, as SVG or as PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from app.planning.plan import Plan

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_ROW_HEIGHT = 28
_LEFT = 110


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage on its processor; times in microseconds, `share` of its operators that it computes."""

    processor: str
    start_us: float
    end_us: float
    label: str
    share: float = 1.0


def bars(plan: Plan) -> list[Bar]:
    """Return the bars of a plan."""
    return [
        Bar(
            stage.processor,
            stage.start_us,
            stage.end_us,
            _label(stage.operators),
            stage.split.length if stage.split else 1.0,
        )
        for stage in plan.stages
    ]


def bars_of_answer(plan: Mapping[str, Any]) -> list[Bar]:
    """Return the bars of a plan as the service answers it (JSON)."""
    drawn = []
    for stage in plan["stages"]:
        split = stage.get("split")
        share = split["range"][1] - split["range"][0] if split else 1.0
        drawn.append(
            Bar(stage["processor"], stage["start_us"], stage["end_us"], _label(stage["operators"]), share)
        )
    return drawn


def terminal(drawn: Sequence[Bar], width: int = 100) -> str:
    """Return the timeline as text: full blocks for whole stages, shaded ones for parts, dots for waiting."""
    if not drawn:
        return "(nothing to draw)\n"
    names = list(dict.fromkeys(bar.processor for bar in drawn))
    gutter = max(len(name) for name in names) + 1
    columns = max(width - gutter - 1, 10)
    total = max(bar.end_us for bar in drawn) or 1.0
    lines = []
    for name in names:
        row = ["·"] * columns
        mine = sorted((bar for bar in drawn if bar.processor == name), key=lambda bar: bar.start_us)
        for place, bar in enumerate(mine):
            first = min(int(bar.start_us / total * columns), columns - 1)
            last = max(first + 1, min(round(bar.end_us / total * columns), columns))
            block = ("█" if place % 2 else "▉") if bar.share >= 1.0 else ("▒" if place % 2 else "▓")
            row[first:last] = block * (last - first)
        lines.append(f"{name:<{gutter}}{''.join(row)}")
    scale = f"{'0':<{max(columns - 12, 1)}}{total / 1000:>9.2f} ms"
    lines.append(" " * gutter + scale)
    return "\n".join(lines) + "\n"


def svg(drawn: Sequence[Bar], width: int = 960) -> str:
    """Return the timeline as an SVG document; each bar's title names its operators and times."""
    names = list(dict.fromkeys(bar.processor for bar in drawn))
    total = max((bar.end_us for bar in drawn), default=0.0) or 1.0
    scale = (width - _LEFT - 10) / total
    height = _ROW_HEIGHT * len(names) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">'
    ]
    for row, name in enumerate(names):
        top = row * _ROW_HEIGHT + 4
        parts.append(f'<text x="4" y="{top + 15}">{escape(name)}</text>')
        colour = _COLOURS[row % len(_COLOURS)]
        for bar in drawn:
            if bar.processor != name:
                continue
            left = _LEFT + bar.start_us * scale
            length = max((bar.end_us - bar.start_us) * scale, 0.5)
            title = f"{bar.label}: {bar.start_us:.0f} to {bar.end_us:.0f} µs"
            if bar.share < 1.0:
                title += f", {bar.share:.0%} of it"
            opacity = 1.0 if bar.share >= 1.0 else 0.6
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_ROW_HEIGHT - 8}" '
                f'fill="{colour}" fill-opacity="{opacity}" stroke="white" stroke-width="0.5">'
                f"<title>{escape(title)}</title></rect>"
            )
    bottom = _ROW_HEIGHT * len(names) + 18
    parts.append(f'<text x="{_LEFT}" y="{bottom}">0</text>')
    parts.append(f'<text x="{width - 10}" y="{bottom}" text-anchor="end">{total / 1000:.2f} ms</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def png(drawn: Sequence[Bar], width: int = 960) -> bytes:
    """Return the timeline as a PNG image, twice as fine as the SVG's units."""
    import vl_convert

    image: bytes = vl_convert.svg_to_png(svg(drawn, width), scale=2.0)
    return image


def _label(operators: Sequence[str]) -> str:
    if not operators:
        return "layout change"
    return operators[0] if len(operators) == 1 else f"{operators[0]} … {operators[-1]} ({len(operators)})"
