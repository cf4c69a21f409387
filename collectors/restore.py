"""Writes a value back into a file when its parent says so, or dies without a word.

Run as a file by a bare interpreter: `restore.py FILE VALUE`; the parent keeps its standard input
open for as long as the value is changed.
"""

import sys
from pathlib import Path


def main(path: str, value: str) -> None:
    """Wait for the end of the input, which comes even from a killed parent, then restore the value."""
    sys.stdin.read()
    Path(path).write_text(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
