"""A folder for files that live a moment; those of agents that were killed are swept away by the next one."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "socast-agent-"
_OWNER = re.compile(rf"{PREFIX}(\d+)-")


@contextmanager
def scratch_folder(root: Path | None = None) -> Iterator[Path]:
    """Give an empty folder and remove it in the end."""
    root = root or Path(tempfile.gettempdir())
    for folder in root.glob(f"{PREFIX}*"):
        owner = _OWNER.match(folder.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
