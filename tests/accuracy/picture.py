"""A picture of the error around changes of condition, as a plain SVG file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 760, 420, 60, 50, 40
_COLOURS = ("#888888", "#b07aa1", "#f28e2b", "#59a14f", "#4e79a7", "#e15759")


def draw(path: Path, title: str, curves: Mapping[str, NDArray[np.float64]]) -> None:
    """Draw curves of equal length, one value per run since a change; values are fractions, axes percent."""
    highest = max(float(np.nanmax(values)) for values in curves.values()) * 1.05
    length = max(len(values) for values in curves.values())

    def x(run: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - 20) * run / max(length - 1, 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / highest

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{_LEFT}" y="20">{title}</text>',
    ]
    for share in np.arange(0.0, highest, 0.1):
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        )
    for run in range(0, length, 5):
        parts.append(
            f'<text x="{x(run):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{run + 1}</text>'
        )
    for number, (name, values) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(run):.1f},{y(float(value)):.1f}" for run, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_WIDTH - 180}" y="{_TOP + 16 * number}" fill="{colour}">{name}</text>')
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">run since a change</text></svg>'
    )
    path.write_text("\n".join(parts), encoding="utf-8")
