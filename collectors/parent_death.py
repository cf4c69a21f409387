"""A child that never outlives its parent, not even when the parent is killed without notice.

This module and `burn` run in bare interpreters (`python -I -S`), so they import the standard library only.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, sent: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send `sent` when the thread that started this process ends; exit if it has already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent:
        sys.exit(0)
