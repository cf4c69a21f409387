"""The regret report as JSON objects and as one line a group."""

from collections.abc import Sequence
from typing import Any

from app.services.regret_figures import figures
from app.services.regret_report import RegretGroup, RegretReport
from app.services.table_files import NUMBER, TEXT, WHOLE, TableFile
from predictors.estimates import Estimate

_PARTS = ("value", "low", "high")


def as_json(group: RegretGroup) -> dict[str, Any]:
    """Return one group as the wire has it."""
    found = group.figures
    policy = found.counterfactual
    return {
        "group": dict(group.group),
        "n": found.n,
        "episodes": found.episodes,
        "compared": found.compared,
        "mape": _estimate(found.mape),
        "bias": _estimate(found.bias),
        "bias_random": _estimate(found.bias_random),
        "winners_curse": _estimate(found.curse),
        "regret": {
            "mean": _estimate(found.regret_mean),
            "median": _estimate(found.regret_median),
            "p95": _estimate(found.regret_p95),
        },
        "best": _estimate(found.best),
        "coverage": {name: _estimate(value) for name, value in found.coverage.items()},
        "exploring": {"executions": found.explored, "cost": _estimate(found.exploring)},
        "counterfactual": {
            "latency_us": _estimate(policy.latency_us),
            "effective_n": policy.effective_n,
            "supported": policy.supported,
            "actual_us": found.actual_us,
        },
    }


def table(report: RegretReport, group_by: Sequence[str]) -> TableFile:
    """Return one line a group: `mape`, `mape_low`, `mape_high` and so on; thin figures are empty."""
    known = _line(RegretGroup(dict.fromkeys(group_by, ""), figures([])))
    columns = {
        name: TEXT if name in group_by or name == "too_thin" else WHOLE if name in _COUNTS else NUMBER
        for name in known
    }
    return TableFile(columns, [[_line(group) for group in report.groups]])


_COUNTS = {"n", "episodes", "compared", "exploring_executions"}


def _line(group: RegretGroup) -> dict[str, Any]:
    row: dict[str, Any] = dict(group.group)
    thin: list[str] = []
    _flatten("", {name: value for name, value in as_json(group).items() if name != "group"}, row, thin)
    return row | {"too_thin": " ".join(thin)}


def _estimate(value: Estimate) -> dict[str, Any]:
    return {name: getattr(value, name) for name in (*_PARTS, "n")} | {"too_thin": value.too_thin}


def _flatten(prefix: str, values: dict[str, Any], row: dict[str, Any], thin: list[str]) -> None:
    """Write nested figures into one line; an estimate takes three columns."""
    for name, value in values.items():
        full = f"{prefix}{name}"
        if not isinstance(value, dict):
            row[full] = value
        elif "too_thin" in value:
            row |= {full: value["value"], f"{full}_low": value["low"], f"{full}_high": value["high"]}
            if value["too_thin"]:
                thin.append(full)
        else:
            _flatten(f"{full}_", value, row, thin)
