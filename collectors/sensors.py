"""What the machine says about itself: read from `/proc` and `/sys`, cheap enough to read before every run.

A missing sensor is a missing key, never a zero. Rates are taken over the most recent stretch of at least
`WINDOW_US`, so that back-to-back runs do not turn ten-millisecond kernel ticks into noise.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

WINDOW_US = 100_000
USER_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
IDLE_FIELDS = (3, 4)
"""Columns of a `cpu` line of `/proc/stat` that are not work: idle and waiting for input or output."""
ACCOUNTED_FIELDS = 8
"""Columns up to stolen time; guest time after them is already inside user time."""
THERMAL_NAMES = ("k10temp", "coretemp", "zenpower", "soc_thermal", "acpitz", "x86_pkg_temp", "cpu")
PRESSURES = ("cpu", "memory")
READ_BYTES = 1 << 18

Context = dict[str, float | bool]
"""What was known just before a run; names carry units."""


class SensorFile:
    """A small kernel file kept open, because opening it anew costs more than reading it."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = None

    def text(self) -> str | None:
        """Return the content now; none where the machine lacks the file or it cannot be read."""
        if self._descriptor is None:
            return None
        try:
            return os.pread(self._descriptor, READ_BYTES, 0).decode()
        except OSError:
            return None

    def number(self, scale: float = 1.0) -> float | None:
        """Return the content as a number divided by `scale`."""
        text = self.text()
        try:
            return None if text is None else float(text) / scale
        except ValueError:
            return None

    def close(self) -> None:
        """Close the file; reading it afterwards gives none."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Cumulative counters at one moment; `busy_s` and `total_s` by cpu name (`cpu` is all of them)."""

    at_us: int
    busy_s: dict[str, float]
    total_s: dict[str, float]
    context_switches: int
    running: int
    pressure_us: dict[str, int]
    own_cpu_s: float


class Sensors:
    """Reads the context of one run on the core that is being measured.

    `own_cpu_s` gives the CPU time of the measuring thread, so that the share of the core that others take
    can be told from the share of the runs themselves.
    """

    def __init__(
        self,
        cores: Iterable[int],
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        now_us: Callable[[], int] = lambda: time.perf_counter_ns() // 1000,
        own_cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now_us = now_us
        self._own_cpu_s = own_cpu_s
        self._history: deque[Counters] = deque()
        self._stat = SensorFile(proc / "stat")
        self._memory = SensorFile(proc / "meminfo")
        self._pressures = {kind: SensorFile(proc / "pressure" / kind) for kind in PRESSURES}
        self._frequencies = {
            core: SensorFile(sys / f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in cores
        }
        self._temperature = SensorFile(_temperature_path(sys))
        supplies = sys / "class/power_supply"
        self._battery = SensorFile(_first(supplies, "*/capacity"))
        self._charger = SensorFile(_first(supplies, "*/online"))

    def close(self) -> None:
        """Close every sensor."""
        for file in (
            self._stat,
            self._memory,
            self._temperature,
            self._battery,
            self._charger,
            *self._pressures.values(),
            *self._frequencies.values(),
        ):
            file.close()

    def restart(self) -> None:
        """Forget the past, for example after a change of core, and start a new window."""
        self._history.clear()
        self._history.append(self._counters())

    def read(self, core: int) -> Context:
        """Return the context fields that this machine offers for a run on `core`."""
        now = self._counters()
        context: Context = {"run_queue": now.running, "co_running": max(0, now.running - 1)}
        if self._history:
            context |= _rates(self._history[0], now, core)
        self._history.append(now)
        while len(self._history) > 1 and now.at_us - self._history[1].at_us >= WINDOW_US:
            self._history.popleft()
        readings = {
            "memory_available_bytes": _memory_bytes(self._memory.text(), "MemAvailable"),
            "frequency_mhz": self._frequencies[core].number(1000),
            "temperature_c": self._temperature.number(1000),
            "battery_fraction": self._battery.number(100),
        }
        context |= {name: value for name, value in readings.items() if value is not None}
        if (online := self._charger.number()) is not None:
            context["charging"] = bool(online)
        return context

    def _counters(self) -> Counters:
        busy_s: dict[str, float] = {}
        total_s: dict[str, float] = {}
        context_switches = running = 0
        for line in (self._stat.text() or "").splitlines():
            name, *fields = line.split()
            if name.startswith("cpu"):
                ticks = [int(field) for field in fields[:ACCOUNTED_FIELDS]]
                total_s[name] = sum(ticks) / USER_TICKS_PER_S
                busy_s[name] = total_s[name] - sum(ticks[i] for i in IDLE_FIELDS) / USER_TICKS_PER_S
            elif name == "ctxt":
                context_switches = int(fields[0])
            elif name == "procs_running":
                running = int(fields[0])
        return Counters(
            at_us=self._now_us(),
            busy_s=busy_s,
            total_s=total_s,
            context_switches=context_switches,
            running=running,
            pressure_us={
                kind: stalled
                for kind, file in self._pressures.items()
                if (stalled := _stalled_us(file.text())) is not None
            },
            own_cpu_s=self._own_cpu_s(),
        )


def _rates(before: Counters, now: Counters, core: int) -> Context:
    """Rates and shares between two moments; shares lie in 0 to 1."""
    rates: Context = {}
    window_us = now.at_us - before.at_us
    if window_us <= 0:
        return rates
    for field, name in (("processor_utilization", f"cpu{core}"), ("cpu_utilization", "cpu")):
        total = now.total_s.get(name, 0.0) - before.total_s.get(name, 0.0)
        if total > 0:
            rates[field] = _share((now.busy_s[name] - before.busy_s[name]) / total)
    name = f"cpu{core}"
    if "processor_utilization" in rates:
        others_s = now.busy_s[name] - before.busy_s[name] - (now.own_cpu_s - before.own_cpu_s)
        rates["competing_utilization"] = _share(others_s * 1e6 / window_us)
    rates["context_switches_per_s"] = (now.context_switches - before.context_switches) * 1e6 / window_us
    for kind, stalled_us in now.pressure_us.items():
        if kind in before.pressure_us:
            rates[f"{kind}_pressure"] = _share((stalled_us - before.pressure_us[kind]) / window_us)
    return rates


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _stalled_us(text: str | None) -> int | None:
    """Microseconds in which some task waited for the resource, from pressure stall information."""
    return None if text is None else int(text.partition("\n")[0].rpartition("total=")[2])


def free_memory_share(proc: Path = Path("/proc")) -> float:
    """Return the share of memory that is available without swapping; 1 where the machine does not say."""
    text = (proc / "meminfo").read_text()
    available, total = _memory_bytes(text, "MemAvailable"), _memory_bytes(text, "MemTotal")
    return available / total if available is not None and total else 1.0


def _memory_bytes(text: str | None, field: str) -> int | None:
    for line in (text or "").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def _temperature_path(sys: Path) -> Path:
    """Find the first sensor that belongs to the processor: a disk's temperature says nothing of it."""
    for folder, label, reading in (("hwmon", "name", "temp1_input"), ("thermal", "type", "temp")):
        for path in sorted((sys / "class" / folder).glob(f"*/{label}")):
            if path.read_text().strip().startswith(THERMAL_NAMES) and path.with_name(reading).exists():
                return path.with_name(reading)
    return sys / "class/thermal/none"


def _first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern), default=folder / "none")
