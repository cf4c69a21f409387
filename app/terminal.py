"""Tables for the terminal: what `/v1/plan` and the error reports answer, drawn with rich."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

Json = Mapping[str, Any]

RUNG_TITLES: Mapping[str, str] = {
    "calm": "offline",
    "per_condition": "per\ncond.",
    "context_frozen": "ctx.\nfrozen",
    "state_only": "state\nonly",
    "runtime": "runtime",
}


def error_table(groups: Sequence[Json], level: str = "run") -> Table:
    """Return one row a group of an error report: the rungs' mean absolute percentage errors side by side."""
    rows = [group for group in groups if group["level"] == level]
    table = Table(title=f"Prediction error by rung ({level} level, MAPE)", title_justify="left")
    keys = list(rows[0]["group"]) if rows else []
    for key in keys:
        table.add_column(key)
    table.add_column("n", justify="right")
    for title in RUNG_TITLES.values():
        table.add_column(title, justify="right")
    table.add_column("off. ÷\nrunt.", justify="right")
    table.add_column("90 % int.\nholds", justify="right")
    for row in rows:
        rungs = row["rungs"]
        calm, runtime = _figure(rungs, "calm", "mape"), _figure(rungs, "runtime", "mape")
        table.add_row(
            *(row["group"][key] or "unlabelled" for key in keys),
            f"{max((rung['n'] for rung in rungs.values()), default=0):,}",
            *(percent(_figure(rungs, name, "mape")) for name in RUNG_TITLES),
            f"{calm / runtime:.1f} ×" if calm is not None and runtime else "–",
            percent(_figure(rungs, "runtime", "coverage")),
        )
    return table


def plan_table(answer: Json) -> Table:
    """Return one row a plan, best first."""
    table = Table(title="Partition plans, best first", title_justify="left")
    table.add_column("strategy")
    table.add_column("processors")
    for title in ("stages", "mean now", "p90 now", "offline\nsays", "speed-up on\nbest single"):
        table.add_column(title, justify="right")
    for plan in answer["plans"]:
        table.add_row(
            plan["strategy"],
            " + ".join(sorted({stage["processor"] for stage in plan["stages"]})),
            str(len(plan["stages"])),
            milliseconds(plan["latency_us"]["mean"]),
            milliseconds(plan["latency_us"]["p90"]),
            milliseconds(plan["offline_latency_us"]),
            f"{plan['speedup_over_best_single']:.2f} ×",
        )
    return table


def percent(share: float | None) -> str:
    """Return a share (0 to 1) as a percentage, a dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f} %"


def milliseconds(latency_us: float | None) -> str:
    """Return a latency in milliseconds, a dash where there is none."""
    return "–" if latency_us is None else f"{latency_us / 1000:.2f} ms"


def _figure(rungs: Json, rung: str, name: str) -> float | None:
    figures = rungs.get(rung)
    return None if figures is None else figures[name]
