"""Who this device is: the wire's device section for a host whose cores are the processors."""

import hashlib
import os
import platform
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collectors.errors import CollectorError

PROCESSORS_BY_DEFAULT = 4
ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
ENGINES = {"cpu": ONNXRUNTIME, "ov": OPENVINO}
"""By the prefix of a processor's name."""


class Processor(msgspec.Struct, frozen=True):
    """One schedulable unit: a single core under an engine; `ov:N` and `cpu:N` share their core."""

    name: str
    core: int

    @property
    def engine(self) -> str:
        """What runs models on it: its name says so."""
        return ENGINES[self.name.partition(":")[0]]

    def section(self) -> dict[str, object]:
        """Return the wire's description."""
        return {
            "name": self.name,
            "kind": "cpu" if self.engine == ONNXRUNTIME else self.engine,
            "threads": 1,
            "resources": [f"core{self.core}"],
            "unsupported": [],
        }


class Device(msgspec.Struct, frozen=True):
    """The device as the wire describes it."""

    device_id: str
    model: str
    soc: str
    os: str
    processors: tuple[Processor, ...]

    def section(self) -> dict[str, object]:
        """Return the wire's `device` section."""
        return {
            "device_id": self.device_id,
            "model": self.model,
            "soc": self.soc,
            "os": self.os,
            "drivers": {},
            "processors": [processor.section() for processor in self.processors],
        }


def usable_cores() -> list[int]:
    """Return the cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def find_processors(names: Sequence[str], cores: Sequence[int]) -> tuple[Processor, ...]:
    """Return processors `cpu:N` or `ov:N` by name, or the first few cores where no name is given.

    Raises:
        CollectorError: a name is no core that this process may use.

    """
    if not names:
        return tuple(Processor(f"cpu:{core}", core) for core in cores[:PROCESSORS_BY_DEFAULT])
    known = {f"{prefix}:{core}": core for prefix in ENGINES for core in cores}
    for name in names:
        if name not in known:
            raise CollectorError(f"no processor {name!r} here; there are {', '.join(known)}")
    return tuple(Processor(name, known[name]) for name in names)


def describe_host(processors: tuple[Processor, ...], device_id: str | None = None) -> Device:
    """Describe this host; without an id of its own it gets one that lasts and reveals nothing."""
    return Device(
        device_id=device_id or f"host-{_machine_hash()}",
        model=_first_text("/sys/class/dmi/id/product_name", "/proc/device-tree/model") or platform.machine(),
        soc=_processor_model(),
        os=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        processors=processors,
    )


def _machine_hash() -> str:
    identity = _first_text("/etc/machine-id", "/var/lib/dbus/machine-id") or socket.gethostname()
    return hashlib.sha256(f"socast {identity}".encode()).hexdigest()[:12]


def _processor_model() -> str:
    chip = _first_text("/sys/devices/soc0/machine")
    if chip is not None:
        return chip
    for line in (_first_text("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def _first_text(*paths: str) -> str | None:
    for path in paths:
        try:
            text = Path(path).read_text().strip("\0 \n")
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            return text
    return None
