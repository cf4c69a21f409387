import os
from pathlib import Path

import pytest

from collectors.sensors import USER_TICKS_PER_S, WINDOW_US, Sensors


class Machine:
    """A machine's `/proc` and `/sys` as files that a test can change."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        (self.proc / "pressure").mkdir(parents=True)
        self.sys.mkdir()
        self.now_us = 0
        self.own_s = 0.0
        self.write()

    def write(
        self,
        busy_s: float = 0.0,
        idle_s: float = 0.0,
        switches: int = 0,
        running: int = 1,
        stalled_us: int = 0,
    ) -> None:
        busy, idle = round(busy_s * USER_TICKS_PER_S), round(idle_s * USER_TICKS_PER_S)
        quiet = round((busy_s + idle_s) * USER_TICKS_PER_S)
        (self.proc / "stat").write_text(
            f"cpu  {busy} 0 0 {idle + quiet} 0 0 0 0 0 0\n"
            f"cpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu1 0 0 0 {quiet} 0 0 0 0 0 0\n"
            f"intr 1 2 3\nctxt {switches}\nprocs_running {running}\n"
        )
        (self.proc / "pressure/cpu").write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={stalled_us}\nfull avg10=0 total=0\n"
        )

    def sensors(self) -> Sensors:
        return Sensors((0, 1), self.proc, self.sys, lambda: self.now_us, lambda: self.own_s)

    def put(self, path: str, text: str) -> None:
        file = self.sys / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_missing_sensor_is_a_missing_value(machine: Machine) -> None:
    sensors = machine.sensors()
    sensors.restart()
    machine.now_us = 50_000
    context = sensors.read(0)
    for name in ("temperature_c", "frequency_mhz", "battery_fraction", "charging", "memory_pressure"):
        assert name not in context
    assert "memory_available_bytes" not in context


def test_rates_are_taken_over_the_window(machine: Machine) -> None:
    sensors = machine.sensors()
    sensors.restart()
    machine.now_us, machine.own_s = 1_000_000, 0.25
    machine.write(busy_s=0.75, idle_s=0.25, switches=500, running=3, stalled_us=100_000)
    context = sensors.read(0)
    assert context["processor_utilization"] == pytest.approx(0.75)
    assert context["cpu_utilization"] == pytest.approx(0.375)
    assert context["competing_utilization"] == pytest.approx(0.5)
    assert context["context_switches_per_s"] == pytest.approx(500)
    assert context["cpu_pressure"] == pytest.approx(0.1)
    assert (context["run_queue"], context["co_running"]) == (3, 2)


def test_back_to_back_reads_look_back_over_at_least_the_window(machine: Machine) -> None:
    sensors = machine.sensors()
    sensors.restart()
    for step in range(1, 41):
        machine.now_us = step * WINDOW_US // 4
        machine.write(busy_s=machine.now_us / 1e6, switches=step)
        context = sensors.read(0)
    assert context["context_switches_per_s"] == pytest.approx(4e6 / WINDOW_US)
    machine.now_us += WINDOW_US // 4
    machine.write(busy_s=10 * WINDOW_US / 1e6, idle_s=WINDOW_US / 4e6, switches=40)
    assert sensors.read(0)["processor_utilization"] < 1


def test_instruments_are_read_in_the_units_of_their_names(machine: Machine) -> None:
    machine.put("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1800000\n")
    machine.put("class/hwmon/hwmon0/name", "nvme\n")
    machine.put("class/hwmon/hwmon0/temp1_input", "30000\n")
    machine.put("class/hwmon/hwmon1/name", "k10temp\n")
    machine.put("class/hwmon/hwmon1/temp1_input", "41250\n")
    machine.put("class/power_supply/BAT0/capacity", "80\n")
    machine.put("class/power_supply/AC/online", "0\n")
    (machine.proc / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable:    2048 kB\n")
    context = machine.sensors().read(0)
    assert context["frequency_mhz"] == 1800
    assert context["temperature_c"] == 41.25
    assert context["battery_fraction"] == 0.8
    assert context["charging"] is False
    assert context["memory_available_bytes"] == 2048 * 1024
    assert "frequency_mhz" not in machine.sensors().read(1)


def test_a_sensor_that_fails_later_is_missing_too(machine: Machine) -> None:
    machine.put("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1800000\n")
    sensors = machine.sensors()
    machine.put("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>\n")
    assert "frequency_mhz" not in sensors.read(0)


def test_this_machine_can_be_read_and_files_are_closed() -> None:
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    core = sorted(os.sched_getaffinity(0))[0]
    sensors = Sensors((core,))
    sensors.restart()
    context = sensors.read(core)
    sensors.close()
    assert context["run_queue"] >= 1
    assert context["memory_available_bytes"] > 0
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
