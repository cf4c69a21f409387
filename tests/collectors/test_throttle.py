import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from collectors.throttle import CLOCK_FREQUENCY, COMPETING_PROCESS, CPU_QUOTA, QUOTA_PERIOD_US, throttled
from tests.processes import wait_until

HELD = """
import sys
from pathlib import Path
from collectors.throttle import throttled
with throttled(0, 0.5, Path(sys.argv[1]), Path("/nowhere")) as means:
    print(means, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's `/sys` and `/proc` without any means to throttle."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    return tmp_path


def add_frequency_control(machine: Path) -> Path:
    folder = machine / "sys/devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "cpuinfo_max_freq").write_text("3000000\n")
    (folder / "scaling_max_freq").write_text("2800000\n")
    return folder / "scaling_max_freq"


def test_without_any_means_it_says_so(machine: Path) -> None:
    with throttled(0, 0.5, machine / "sys", machine / "proc") as means:
        assert means == COMPETING_PROCESS


def test_the_clock_is_lowered_and_put_back(machine: Path) -> None:
    limit = add_frequency_control(machine)
    with throttled(0, 0.5, machine / "sys", machine / "proc") as means:
        assert means == CLOCK_FREQUENCY
        assert limit.read_text() == "1500000"
    assert limit.read_text() == "2800000"


def test_the_clock_is_put_back_even_after_a_kill_without_notice(machine: Path) -> None:
    limit = add_frequency_control(machine)
    child = subprocess.Popen(
        [sys.executable, "-c", HELD, machine / "sys"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline().decode().strip() == CLOCK_FREQUENCY
        assert limit.read_text() == "1500000"
        os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: limit.read_text() == "2800000", "the frequency limit is restored")


def test_a_quota_holds_the_measuring_thread_alone(machine: Path) -> None:
    group = machine / "sys/fs/cgroup/cpu/agents"
    group.mkdir(parents=True)
    (group / "tasks").write_text("")
    (machine / "proc/self/cgroup").write_text("4:memory:/\n1:cpu:/agents\n0::/\n")
    with throttled(0, 0.6, machine / "sys", machine / "proc") as means:
        assert means == CPU_QUOTA
        (quota,) = group.glob("socast-quota-*")
        assert (quota / "cpu.cfs_quota_us").read_text() == str(int(0.6 * QUOTA_PERIOD_US))
        assert (quota / "cpu.cfs_period_us").read_text() == str(QUOTA_PERIOD_US)
        assert (quota / "tasks").read_text() == str(threading.get_native_id())
    assert (group / "tasks").read_text() == str(threading.get_native_id())


def test_a_quota_in_the_unified_hierarchy(machine: Path) -> None:
    group = machine / "sys/fs/cgroup/agents"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (machine / "proc/self/cgroup").write_text("0::/agents\n")
    with throttled(0, 0.5, machine / "sys", machine / "proc") as means:
        assert means == CPU_QUOTA
        (quota,) = group.glob("socast-quota-*")
        assert (quota / "cpu.max").read_text() == f"{QUOTA_PERIOD_US // 2} {QUOTA_PERIOD_US}"
        assert (quota / "cgroup.type").read_text() == "threaded"
        assert (quota / "cgroup.threads").read_text() == str(threading.get_native_id())


def test_on_this_machine_the_thread_really_gets_less_or_the_means_is_named() -> None:
    """Only a quota or a clock slows the thread by itself; both are undone afterwards."""
    before = Path("/proc/thread-self/cgroup").read_text()
    with throttled(sorted(os.sched_getaffinity(0))[0], 0.5) as means:
        assert means in (CLOCK_FREQUENCY, CPU_QUOTA, COMPETING_PROCESS)
        if means == CPU_QUOTA:
            assert Path("/proc/thread-self/cgroup").read_text() != before
    assert Path("/proc/thread-self/cgroup").read_text() == before
