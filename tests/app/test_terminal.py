from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from app.terminal import error_table, plan_table
from predictors.forecast import Rung

README = Path(__file__).parents[2] / "README.md"


def shown(item: RenderableType) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(item)
    return captured.get()


def plan(**fields: Any) -> dict[str, Any]:
    return {
        "strategy": "chain",
        "stages": [{"processor": "cpu:0"}],
        "latency_us": {"mean": 1500.0, "p90": 2000.0},
        "offline_latency_us": 1000.0,
        "speedup_over_best_single": 1.25,
        **fields,
    }


def test_a_plan_without_a_single_processor_to_compare_with_has_a_dash() -> None:
    assert "1.25 ×" in shown(plan_table({"plans": [plan()]}))
    assert "–" in shown(plan_table({"plans": [plan(speedup_over_best_single=None)]}))


def test_the_transcript_in_the_readme_has_the_tables_of_today() -> None:
    figures = {"n": 1, "mape": 0.1, "coverage": 0.9}
    rungs = {rung.value: figures for rung in Rung}
    group = {"level": "run", "group": {"condition": "s0"}, "rungs": rungs}
    transcript = titles(README.read_text())
    for table in (plan_table({"plans": [plan()]}), error_table([group])):
        assert set(titles(shown(table))) <= set(transcript)


def titles(text: str) -> list[str]:
    """Return the columns' titles of the tables in a text, whatever their width."""
    heads = [line for line in text.splitlines() if line.startswith("┃")]
    return ["|".join(cell.strip() for cell in line.split("┃")) for line in heads]
