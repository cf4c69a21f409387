"""Tables for the terminal: what `/v1/plan` and the error reports answer, drawn with rich."""

from collections.abc import Iterator, Mapping, Sequence
from math import expm1
from typing import Any

from rich.markup import escape
from rich.table import Table

Json = Mapping[str, Any]

RUNG_TITLES: Mapping[str, str] = {
    "calm": "offline",
    "per_condition": "per\ncond.",
    "context_frozen": "ctx.\nfrozen",
    "state_only": "state\nonly",
    "runtime": "runtime",
}


def report_tables(name: str, report: Json) -> Iterator[Table | str]:
    """Yield what a terminal shows of a report, by the report's name."""
    match name:
        case "errors":
            for level in ("run", "operator"):
                yield error_table(report["groups"], level)
            if report["pending_runs"]:
                yield f"{report['pending_runs']:,} runs are stored but not yet scored."
        case "drift":
            yield drift_table(report["items"])
        case "coverage":
            yield coverage_table(report["items"])
        case "misses":
            yield miss_table(report["groups"])
            if report["left_out"]:
                yield (
                    f"{report['left_out']:,} runs could not be explained: "
                    "no predictor of their time is stored."
                )
        case "regret":
            yield regret_table(report["groups"])


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
            factor(plan["speedup_over_best_single"]),
        )
    return table


def drift_table(items: Sequence[Json]) -> Table:
    """Return one row an event of the drift report, newest first."""
    table = Table(title="What befell the predictors, newest first", title_justify="left")
    for title in ("when", "what", "predictor", "device", "why"):
        table.add_column(title)
    for title in ("error\nbefore", "error\nafter", "runs\nsince"):
        table.add_column(title, justify="right")
    for item in items:
        table.add_row(
            item["at"],
            item["kind"],
            escape("/".join(filter(None, (item["soc"], item["processor"], item["framework"])))),
            escape(item["device"] or ""),
            escape(item["trigger"]),
            percent(item["error_before"]),
            percent(item["error_after"]),
            "–" if item["runs_since"] is None else f"{item['runs_since']:,}",
        )
    return table


def miss_table(groups: Sequence[Json]) -> Table:
    """Return one row a group of the report of misses: their size, its causes, what to profile next."""
    table = Table(title="Why runs were missed: shares of the error", title_justify="left")
    keys = list(groups[0]["group"]) if groups else []
    for key in keys:
        table.add_column(key)
    parts = list(groups[0]["shares"]) if groups else []
    for title in ("runs", "error", "slower\nthan said", *parts):
        table.add_column(title, justify="right")
    table.add_column("profile next")
    for item in groups:
        table.add_row(
            *(escape(item["group"][key] or "unlabelled") for key in keys),
            f"{item['n']:,}",
            percent(expm1(item["mean_abs_log_ratio"])),
            percent(expm1(item["mean_log_ratio"])),
            *(percent(item["shares"][part]) for part in parts),
            escape(", ".join(dict.fromkeys(own["op_type"] for own in item["profile_next"]))),
        )
    return table


def coverage_table(items: Sequence[Json]) -> Table:
    """Return one row a processor of the coverage report, with the first thing to do about it."""
    table = Table(title="What the predictors know", title_justify="left")
    for title in ("SoC", "processor", "framework"):
        table.add_column(title)
    for title in ("runs", "time\nmeasured", "time\nlearned", "time\nfallback", "90 % int.\nholds"):
        table.add_column(title, justify="right")
    table.add_column("too thin")
    for item in items:
        shares = item["time"] or {}
        thin = [" ".join(filter(None, (own["what"], own["name"]))) for own in item["thin"]]
        table.add_row(
            escape(item["soc"]),
            escape(item["processor"]),
            escape(item["framework"] or ""),
            f"{item['trained_runs']:,}",
            *(percent(shares.get(kind)) for kind in ("measured", "learned", "fallback")),
            percent(item["intervals"]["coverage"]),
            escape(", ".join(thin)),
        )
    return table


def regret_table(groups: Sequence[Json]) -> Table:
    """Return one row a group of the regret report; a dash where there is too little to tell."""
    table = Table(title="Regret of chosen plans", title_justify="left")
    for key in groups[0]["group"] if groups else ():
        table.add_column(key)
    for title in (
        "n",
        "episodes",
        "regret\nmean",
        "median",
        "p95",
        "best\nchosen",
        "MAPE",
        "exploring\ncost",
    ):
        table.add_column(title, justify="right")
    for group in groups:
        regret = group["regret"]
        shown = (*(regret[name] for name in ("mean", "median", "p95")), group["best"], group["mape"])
        table.add_row(
            *(escape(str(value)) for value in group["group"].values()),
            f"{group['n']:,}",
            f"{group['episodes']:,}",
            *(percent(estimate["value"]) for estimate in (*shown, group["exploring"]["cost"])),
        )
    return table


VERDICTS: Mapping[str, str] = {"pass": "pass", "fail": "fail", "too_thin": "too thin to say"}


def gate_table(answer: Json, model: str) -> Table:
    """Return one row a processor of what the gate found."""
    table = Table(title=f"{model}: {VERDICTS[answer['verdict']]}", title_justify="left")
    for title in ("where", "processor", "verdict"):
        table.add_column(title)
    for level, limit_us in answer["limits_us"].items():
        table.add_column(f"{level} (≤ {milliseconds(limit_us)})", justify="right")
    table.add_column("because")
    for cells in _gate_rows(answer):
        table.add_row(*map(escape, cells))
    return table


def gate_markdown(answer: Json, model: str) -> str:
    """Return what the gate found as Markdown."""
    titles = ["where", "processor", "verdict"]
    titles += [f"{level} (≤ {milliseconds(limit)})" for level, limit in answer["limits_us"].items()]
    titles.append("because")
    lines = [
        f"### {_plain(model)}: {VERDICTS[answer['verdict']]}",
        "",
        _line(titles),
        "|---" * len(titles) + "|",
    ]
    return "\n".join([*lines, *map(_line, _gate_rows(answer))])


def _gate_rows(answer: Json) -> Iterator[list[str]]:
    for place in answer["places"]:
        for own in place["processors"]:
            decided = " *" if own["processor"] == place["best"] else ""
            yield [
                place["device_id"] or place["soc"],
                own["processor"] + decided,
                VERDICTS[own["verdict"]],
                *(milliseconds(own["latency_us"].get(level)) for level in answer["limits_us"]),
                "; ".join(own["reasons"]),
            ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(text: str) -> str:
    """Return text that Markdown and HTML show as it is."""
    for special, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "&#96;"), ("\n", " ")):
        text = text.replace(special, written)
    return text


def percent(share: float | None) -> str:
    """Return a share (0 to 1) as a percentage, a dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f} %"


def milliseconds(latency_us: float | None) -> str:
    """Return a latency in milliseconds, a dash where there is none."""
    return "–" if latency_us is None else f"{latency_us / 1000:.2f} ms"


def factor(ratio: float | None) -> str:
    """Return how many times as much, a dash where there is nothing to compare with."""
    return "–" if ratio is None else f"{ratio:.2f} ×"


def _figure(rungs: Json, rung: str, name: str) -> float | None:
    figures = rungs.get(rung)
    return None if figures is None else figures[name]
