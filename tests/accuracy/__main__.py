"""`make accuracy`: all learners on all traces, next to their floors; written to `build/accuracy/`."""

import json
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.accuracy import beginnings, dynamic, nested, newcomers, phones, speed
from tests.accuracy.picture import draw

OUT = Path("build/accuracy")
DRAWN = ("calm", "context_frozen", "state_only", "median_of_recent", "last_value", "runtime")
DRAWN_RUNS = 31


def main() -> int:
    """Measure, print and store (`--nested`: what choices rest on); 1 where the traces are not there."""
    console = Console(width=140)
    try:
        traces = dynamic.Traces.read()
    except FileNotFoundError as missing:
        sys.stderr.write(f"skipped: {missing}\n")
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    if "--nested" in sys.argv[1:]:
        return _nested(console, traces)
    results: dict[str, Any] = {}
    for title, unseen in dynamic.NETWORK_SETS.items():
        stream = dynamic.play(traces, unseen)
        parts = {"known": ~stream.unseen, "never learned": stream.unseen}
        for part, selected in parts.items():
            if selected.any():
                results[f"{title}: {part}"] = _errors(console, f"{title}: {part}", stream, selected)
        results[f"{title}: intervals"] = _intervals(console, title, stream)
        results[f"{title}: operators"] = _operators(console, title, stream)
        results[f"{title}: steady"] = dynamic.steady(stream)
        console.print({name: round(value, 4) for name, value in results[f"{title}: steady"].items()})
        results[f"{title}: reaction"] = _reaction(console, title, stream)
        curves = {name: _curve(stream, stream.errors[name]) for name in DRAWN}
        draw(OUT / f"changes-{'unseen' if unseen else 'known'}.svg", f"whole-run error, {title}", curves)
    results["false reactions per 1,000 calm runs"] = dynamic.false_reactions(traces)
    results["speed"] = speed.speeds(traces)
    table = Table("figure", "value", title="speed and size")
    table.add_row(
        "false reactions per 1,000 calm runs", f"{results['false reactions per 1,000 calm runs']:.1f}"
    )
    for name, value in results["speed"].items():
        table.add_row(name, f"{value:,.2f}")
    console.print(table)
    phones.main()
    newcomers.main()
    (OUT / "accuracy.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    console.print(f"stored in {OUT}/")
    return 0


def _nested(console: Console, traces: dynamic.Traces) -> int:
    """Print and store what the older stretch alone tells: runtime against context_frozen and the floor."""
    streams: dict[str, list[dynamic.Stream]] = {}
    for title, stream in chain(
        nested.splits(traces), nested.changed_worlds(traces), nested.lasting_changes(traces)
    ):
        streams.setdefault(title, []).append(stream)
    figures = {title: dynamic.pooled(parts) for title, parts in streams.items()}
    columns = list(dict.fromkeys(name for row in figures.values() for name in row))
    table = Table("world", *columns, title="runtime / context_frozen / floor, percent, older stretch alone")
    for title, row in figures.items():
        table.add_row(
            title, *(" / ".join(f"{100 * value:.1f}" for value in row.get(name, ())) for name in columns)
        )
    console.print(table)
    starts = _beginnings(console, traces)
    stored = json.dumps({"worlds": figures, "beginnings": starts}, indent=1)
    (OUT / "nested.json").write_text(stored, encoding="utf-8")
    return 0


def _beginnings(console: Console, traces: dynamic.Traces) -> dict[str, dict[str, float]]:
    """Print and return how the first runs fare."""
    found = beginnings.table(beginnings.play(traces))
    columns = (
        "runs",
        "calm",
        "state_only",
        "runtime",
        "over calm",
        "over state_only",
        "held",
        "width",
        "winkler",
    )
    table = Table("part", *columns, title="beginnings: errors in percent, 90 % intervals of runtime")
    for part, row in found.items():
        errors = [f"{100 * row[rung]:.1f}" for rung in ("calm", "state_only", "runtime")]
        over = [
            f"{100 * row[f'over {rung}, low']:+.1f} to {100 * row[f'over {rung}, high']:+.1f}"
            for rung in ("calm", "state_only")
        ]
        intervals = [f"{100 * row['held']:.1f}", f"{row['median width']:.2f}", f"{row['winkler']:.2f}"]
        table.add_row(part, f"{row['runs']:.0f}", *errors, *over, *intervals)
    console.print(table)
    return found


def _errors(console: Console, title: str, stream: dynamic.Stream, selected: Any) -> dict[str, Any]:
    """Print and return the table of whole-run errors."""
    columns = ("s0", *dynamic.DISTURBED, "s1-s4")
    table = Table(
        "learner", *columns, "95 % interval", title=f"whole-run mean absolute percentage error, {title}"
    )
    rows = {}
    for name, errors in stream.errors.items():
        means = dynamic.condition_means(stream, errors, selected)
        low, high = dynamic.bootstrap(stream, errors, selected)
        rows[name] = {**means, "interval": [low, high]}
        cells = [f"{100 * means.get(column, float('nan')):.1f}" for column in columns]
        table.add_row(name, *cells, f"{100 * low:.1f} to {100 * high:.1f}")
    console.print(table)
    return rows


def _intervals(console: Console, title: str, stream: dynamic.Stream) -> dict[str, Any]:
    table = Table("part", "runs", "inside the 90 % interval", title=f"runtime intervals, {title}")
    found = dynamic.coverage(stream)
    for name, (share, count) in found.items():
        table.add_row(name, str(count), f"{share:.1%}")
    console.print(table)
    return {name: share for name, (share, _) in found.items()}


def _operators(console: Console, title: str, stream: dynamic.Stream) -> dict[str, Any]:
    rows = dynamic.operator_level(stream)
    table = Table("condition", *rows["s0"], title=f"operators' conditional means, {title}")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:,.2f}" for value in row.values()))
    console.print(table)
    return rows


def _reaction(console: Console, title: str, stream: dynamic.Stream) -> dict[str, Any]:
    rows = {name: dynamic.reaction(stream, stream.errors[name]) for name in DRAWN}
    table = Table("learner", *rows["runtime"], title=f"error after a change of condition, {title}")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.1%}" for value in row.values()))
    console.print(table)
    settled = dynamic.settled_after(stream, stream.errors["runtime"])
    console.print(f"runtime within 1.25 × its steady level after {settled:.0f} runs (median over episodes)")
    console.print(f"{stream.runs_per_s:.0f} runs/s with all five rungs")
    return {**rows, "settled_after_runs": settled}


def _curve(stream: dynamic.Stream, errors: Any) -> Any:
    return np.array([np.nanmean(errors[stream.position == at]) for at in range(DRAWN_RUNS)])


if __name__ == "__main__":
    sys.exit(main())
