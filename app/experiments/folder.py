"""An experiment's folder: what is finished is written down at once, so that a killed run goes on."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from app.errors import ConflictError, SocastError

Json = dict[str, Any]
FORMAT = 1
"""Of the journal's steps; a folder of another format cannot be gone on with."""


class Journal:
    """An append-only file of finished steps, one JSON object a line.

    A line that a killed run left half-written is cut off. Time counts as spent when a step is written down.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SocastError(
                f"{folder} cannot be made: {error.strerror}; name another with --out."
            ) from error
        self.folder = folder
        self._path = folder / "journal.ndjson"
        self._steps = _read(self._path)
        self._mark = time.monotonic()
        if not self._steps:
            self.put("experiment", kind=kind, format=FORMAT)
        known = self._steps[0]
        if (known["kind"], known["format"]) != (kind, FORMAT):
            raise ConflictError(
                f"{folder} holds the experiment {known['kind']!r} (format {known['format']}), not {kind!r} "
                f"(format {FORMAT}); name another folder with --out."
            )

    def put(self, step: str, **fields: object) -> None:
        """Write a finished step down."""
        now = time.monotonic()
        entry: Json = {"step": step, "seconds": round(now - self._mark, 3), **fields}
        self._mark = now
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
        self._steps.append(entry)

    def all(self, step: str) -> list[Json]:
        """Return the steps of one kind, oldest first."""
        return [entry for entry in self._steps if entry["step"] == step]

    @property
    def spent_s(self) -> float:
        """Seconds that this experiment took so far, earlier runs of the command included."""
        return float(sum(entry["seconds"] for entry in self._steps)) + time.monotonic() - self._mark


def _read(path: Path) -> list[Json]:
    if not path.exists():
        return []
    steps: list[Json] = []
    lines = path.read_bytes().splitlines(keepends=True)
    for place, line in enumerate(lines):
        try:
            steps.append(json.loads(line))
        except ValueError as error:
            if place < len(lines) - 1:
                raise SocastError(f"{path}, line {place + 1}: {error}; remove this folder.") from error
            path.write_bytes(b"".join(lines[:-1]))
    return steps


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` once it is complete."""
    draft = path.with_name(f".{path.name}")
    yield draft
    draft.replace(path)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as a table, whole or not at all."""
    with replaced(path) as draft:
        pd.DataFrame(list(rows)).to_csv(draft, index=False)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object, whole or not at all."""
    with replaced(path) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
