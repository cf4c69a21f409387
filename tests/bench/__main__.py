"""`python -m tests.bench [SECTION]...`: run the benchmarks, print a table, write `build/bench.json`."""

import importlib
import json
import pkgutil
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.bench
from tests.bench.row import Row

OUTPUT = Path("build/bench.json")


def main(wanted: list[str]) -> None:
    """Run the named sections, all when none is named; exit with a message where there is none of a name."""
    names = sorted(info.name for info in pkgutil.iter_modules(tests.bench.__path__))
    modules = {name: importlib.import_module(f"tests.bench.{name}") for name in names if name != "__main__"}
    sections = {name: module for name, module in modules.items() if hasattr(module, "run")}
    if unknown := sorted(set(wanted) - set(sections)):
        raise SystemExit(f"No section {', '.join(unknown)}: there are {', '.join(sections)}.")
    results: dict[str, list[Row]] = {}
    for name in wanted or sections:
        results[name] = sections[name].run()
        _print(name, results[name])
    OUTPUT.parent.mkdir(exist_ok=True)
    host = {"machine": platform.machine(), "python": platform.python_version(), "system": platform.system()}
    rows = {name: [asdict(row) for row in section] for name, section in results.items()}
    OUTPUT.write_text(json.dumps({"host": host, "sections": rows}, indent=2) + "\n")


def _print(name: str, rows: list[Row]) -> None:
    table = Table("figure", "value", "unit", "target", "", title=name, title_justify="left")
    for row in rows:
        mark = "" if row.met is None else ("met" if row.met else "MISSED")
        table.add_row(
            row.name,
            f"{row.value:,.4g}" if row.value < 100 else f"{row.value:,.0f}",
            row.unit,
            row.target,
            mark,
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
