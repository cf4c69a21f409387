"""TensorFlow Lite's `benchmark_model`: mean time of each operator, from its profiling CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from collectors.importers.importer import ImportedRun, Importer, Origin, UnreadableFileError, batches_of
from predictors.graph import Operator

TITLE = "Run Order"


class TfliteBenchmark:
    """The section `Run Order` of `--profiling_output_csv_file`: one run, made of the means of all.

    The file holds no shapes, so that operators are told apart by type alone unless the model is uploaded too.
    """

    format = "tflite"
    description = "the CSV of `benchmark_model --enable_op_profiling --profiling_output_csv_file`"

    def batches(self, path: Path, origin: Origin) -> Iterator[bytes]:
        """Yield the one run of means."""
        return batches_of([_mean_run(path)], path, origin, framework="tflite")


def _mean_run(path: Path) -> ImportedRun:
    rows = list(csv.reader(io.StringIO(path.read_text(errors="replace"))))
    section = _section(rows)
    if not section:
        raise UnreadableFileError(f"{path} has no section `{TITLE}`: is it benchmark_model's CSV?")
    header = [name.strip() for name in section[0]]
    try:
        kind, mean = header.index("node type"), header.index("avg_ms")
        timed = [(row[kind].strip(), float(row[mean]) * 1000.0) for row in section[1:]]
    except (ValueError, IndexError) as error:
        raise UnreadableFileError(f"{path} has no usable columns `node type` and `avg_ms`.") from error
    latency_us = tuple(value for _, value in timed)
    kernels = tuple(Operator(name) for name, _ in timed)
    return ImportedRun(0.0, sum(latency_us), kernels, latency_us)


def _section(rows: list[list[str]]) -> list[list[str]]:
    """Return the header and rows below the title, up to the next blank line."""
    titles = [place for place, row in enumerate(rows) if row and TITLE in row[0]]
    if not titles:
        return []
    found = []
    for row in rows[titles[0] + 1 :]:
        if not any(cell.strip() for cell in row):
            break
        found.append(row)
    return found


IMPORTER: Importer = TfliteBenchmark()
