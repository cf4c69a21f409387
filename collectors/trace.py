"""Writes a spool as a trace: a gzip file with one measurement batch a line, in time order."""

import gzip
from pathlib import Path

from collectors.batch import BatchBuilder
from collectors.spool import Spool

BATCH_RECORDS = 50
BATCH_BYTES = 4 * 1024 * 1024


def write_trace(spool: Spool, path: Path) -> int:
    """Move all records of a spool to the end of a trace file; return how many.

    Several sessions may add to one file: gzip files may be joined, and their times go on.
    """
    builder = BatchBuilder(spool)
    written = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    while records := spool.oldest(BATCH_RECORDS, BATCH_BYTES):
        with gzip.open(path, "ab") as file:
            file.write(builder.build(records) + b"\n")
        spool.settle(records)
        written += len(records)
    return written
