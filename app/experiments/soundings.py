"""Short stretches of agent's runs on each processor: how the machine stands just before plans are made."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from collectors.clock import AnchoredClock
from collectors.device import Device, Processor
from collectors.episode import Instruments, Recorder
from collectors.handover import allocate_tensors
from collectors.measurement import Measurement, TransferMeasurement
from collectors.model_cache import ModelCache
from collectors.models import ModelFile
from collectors.outbox import Outbox
from collectors.probes import Probes
from collectors.runners.engines import runners_for
from collectors.schedule import Episode
from collectors.scratch import scratch_folder
from collectors.sensors import Context, Sensors
from collectors.spool import Spool

RUNS = 6
"""Least runs of a sounding on a processor."""


class Soundings:
    """The agent's instruments, used for a moment at a time; everything measured goes into the spool."""

    def __init__(self, device: Device, files: Sequence[ModelFile], spool: Path, seed: int) -> None:
        self._stack = ExitStack()
        self._device = device
        self.spool = Spool(spool)
        self._stack.callback(self.spool.close)
        self._outbox = Outbox(self.spool, device)
        sensors = Sensors(processor.core for processor in device.processors)
        self._stack.callback(sensors.close)
        scratch = self._stack.enter_context(scratch_folder())
        self._models = ModelCache(runners_for(device.processors, scratch), files)
        self._stack.callback(self._models.close)
        self._names = tuple(file.identity.name for file in files)
        instruments = Instruments(sensors, Probes(), AnchoredClock(), allocate_tensors())
        self._recorder = Recorder(instruments, random.Random(seed))

    def __enter__(self) -> "Soundings":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def sound(self, condition: str, seconds: float) -> dict[str, Context]:
        """Run the models for some seconds on each processor; return the context before its last run."""
        measurements: list[Measurement] = []
        runs = -(-RUNS // len(self._names))
        for processor in self._device.processors:
            models = {name: self._models.ready(name, processor.engine) for name in self._names}
            episode = Episode(condition, processor, seconds, self._names, least_runs=runs)
            self._recorder.record(episode, models, lambda: False, lambda name, spent_s: None, {})
            measurements += self._recorder.collect(models)
        self._outbox.put(measurements)
        return {measurement.processor: dict(measurement.context) for measurement in measurements}

    def context(self, processor: Processor) -> Context:
        """Read the sensors and the probes, as before a run."""
        return self._recorder.context(processor.core)

    def put_transfers(self, transfers: Sequence[TransferMeasurement]) -> None:
        """Spool hand-overs that were timed elsewhere."""
        self._outbox.put((), transfers)
