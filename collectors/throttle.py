"""A slower core: by its clock, by a quota on the measuring thread, or by saying that neither can be set."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

RESTORE_SCRIPT = Path(__file__).with_name("restore.py")
QUOTA_PERIOD_US = 10_000
GROUP_PREFIX = "socast-quota-"

CLOCK_FREQUENCY = "clock frequency"
CPU_QUOTA = "CPU quota"
COMPETING_PROCESS = "competing process"


@contextmanager
def throttled(
    core: int, speed: float, sys_root: Path = Path("/sys"), proc: Path = Path("/proc")
) -> Iterator[str]:
    """Slow a core to `speed` (0 to 1) for the calling thread; gives the means.

    The means is `clock frequency`, `CPU quota`, or `competing process` where the machine allows neither and
    the caller has to put one more busy process beside the measurement.
    """
    with ExitStack() as stack:
        for means, attempt in (
            (CLOCK_FREQUENCY, _frequency_limit(core, speed, sys_root)),
            (CPU_QUOTA, _quota(speed, sys_root, proc)),
        ):
            try:
                stack.enter_context(attempt)
            except OSError:
                continue
            yield means
            return
        yield COMPETING_PROCESS


@contextmanager
def _frequency_limit(core: int, speed: float, sys_root: Path) -> Iterator[None]:
    """Lower the core's maximum frequency; a child process restores it even if this one is killed."""
    folder = sys_root / f"devices/system/cpu/cpu{core}/cpufreq"
    limit = folder / "scaling_max_freq"
    before = limit.read_text().strip()
    full_khz = int((folder / "cpuinfo_max_freq").read_text())
    restorer = subprocess.Popen(
        [sys.executable, "-I", "-S", str(RESTORE_SCRIPT), str(limit), before],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        limit.write_text(str(int(full_khz * speed)))
        yield
    finally:
        restorer.communicate()


@contextmanager
def _quota(speed: float, sys_root: Path, proc: Path) -> Iterator[None]:
    """Put the calling thread into a control group with a CPU quota, and back again."""
    thread = str(threading.get_native_id())
    parent, unified = _own_group(sys_root, proc)
    members = "cgroup.threads" if unified else "tasks"
    for stale in parent.glob(f"{GROUP_PREFIX}*"):
        with suppress(OSError):
            stale.rmdir()
    group = parent / f"{GROUP_PREFIX}{os.getpid()}"
    group.mkdir()
    try:
        quota_us = int(QUOTA_PERIOD_US * speed)
        if unified:
            (group / "cgroup.type").write_text("threaded")
            (parent / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota_us} {QUOTA_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(QUOTA_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        (group / members).write_text(thread)
        try:
            yield
        finally:
            (parent / members).write_text(thread)
    finally:
        with suppress(OSError):
            group.rmdir()


def _own_group(sys_root: Path, proc: Path) -> tuple[Path, bool]:
    """Return this process's control group for CPU time, and whether it is of the unified hierarchy.

    Raises:
        FileNotFoundError: there is none.

    """
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            for mount in (controllers, "cpu"):
                group = sys_root / "fs/cgroup" / mount / path.lstrip("/")
                if (group / "tasks").exists():
                    return group, False
        elif not controllers:
            group = sys_root / "fs/cgroup" / path.lstrip("/")
            if "cpu" in _words(group / "cgroup.controllers"):
                return group, True
    raise FileNotFoundError("no control group for CPU time")


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
