"""Numbers and tables for the pages that experiments write."""

from collections.abc import Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]


def percent(share: float | None) -> str:
    """Return a share as a percentage."""
    return "–" if share is None else f"{100 * share:.1f} %"


def times(ratio: float | None) -> str:
    """Return a ratio."""
    return "–" if ratio is None else f"{ratio:.2f} ×"


def within(figures: Figures | None) -> str:
    """Return a ratio with its interval and count."""
    if not figures:
        return "–"
    return f"{times(figures['value'])} ({figures['low']:.2f} to {figures['high']:.2f}, n = {figures['n']})"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def host_line(figures: Figures) -> str:
    """Say on what machine and in which time the figures were measured."""
    host = figures["host"]
    names = ", ".join(host["processors"])
    return f"Measured on {host['soc']} ({host['os']}), processors {names}, in {figures['spent_s']:.0f} s.\n"
