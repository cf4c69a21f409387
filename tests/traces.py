"""Where the development traces are; tests that need them skip loudly without."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def traces_directory() -> Path | None:
    """Return `SOCAST_TRACES`, else `../shared/traces` beside the checkout, None where neither is there."""
    named = os.environ.get("SOCAST_TRACES")
    place = Path(named) if named else _ROOT.parent / "shared" / "traces"
    return place if place.is_dir() else None


def trace(name: str) -> Path:
    """Return the path of a development trace, or skip the test that asks."""
    directory = traces_directory()
    if directory is None or not (directory / name).is_file():
        pytest.skip(f"trace {name} is not here: set SOCAST_TRACES to the folder that holds it")
    return directory / name
