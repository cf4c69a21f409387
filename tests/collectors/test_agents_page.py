"""What the agent offers and sends is documented in `docs/agents.md`, and the sample is what its page says."""

import gzip
import json
from pathlib import Path

import pytest
import typer

from app.cli import build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs/agents.md").read_text()


@pytest.fixture(scope="module")
def batches() -> list[dict[str, list[dict[str, object]]]]:
    with gzip.open(ROOT / "data/samples/two-core-x86.ndjson.gz", "rt") as file:
        return [json.loads(line) for line in file]


def test_every_option_is_documented_and_has_an_environment_variable(page: str) -> None:
    options = typer.main.get_group(build()).commands["agent"].params
    assert len(options) > 10
    for option in options:
        assert f"`{option.opts[0]}" in page
        assert str(option.envvar).startswith("SOCAST_")


def test_every_context_field_is_documented(
    page: str, batches: list[dict[str, list[dict[str, object]]]]
) -> None:
    fields = {name for batch in batches for run in batch["runs"] for name in dict(run["context"])}  # type: ignore[call-overload]
    assert fields
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def test_the_sample_holds_what_its_page_says(batches: list[dict[str, list[dict[str, object]]]]) -> None:
    text = (ROOT / "data/samples/README.md").read_text()
    runs = [run for batch in batches for run in batch["runs"]]
    timings = sum(len(run["latency_us"]) for run in runs)  # type: ignore[arg-type]
    transfers = sum(len(batch["transfers"]) for batch in batches)
    for count in (f"{len(runs)} runs", f"{timings:,} operator timings", f"{transfers} hand-overs"):
        assert count in " ".join(text.split())
    assert {run.get("condition") for run in runs} == {"s0", "s1", "s2", "s3", "s4"}
    assert (ROOT / "data/samples/two-core-x86.ndjson.gz").stat().st_size < 200_000
