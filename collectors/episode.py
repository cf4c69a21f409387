"""One episode: runs of a few models on a pinned core, each with the context read just before it."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from collectors.clock import AnchoredClock
from collectors.device import Processor
from collectors.errors import ProfileError
from collectors.handover import HandOver, Tensor
from collectors.measurement import Measurement, TransferMeasurement
from collectors.pinning import pinned
from collectors.probes import Probes
from collectors.runners.runner import LoadedModel, RunProfile
from collectors.schedule import Episode
from collectors.sensors import Context, Sensors

PACES_S = (0.0, 0.005, 0.050)
"""Idle times before a run, one drawn for each: back to back, and two that let caches and clocks cool down."""
UNPROFILED_SHARE = 0.2
"""Share of runs that are timed as a whole, without the profiler and its cost."""
WEIGHT_EXPONENT = -0.5
"""Models are drawn by their latency to this power: between equal counts of runs and equal time."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What an episode measures with."""

    sensors: Sensors
    probes: Probes
    clock: AnchoredClock
    tensors: Mapping[int, Tensor]


class Recorder:
    """Makes runs and keeps them until the profiles of their models can be collected."""

    def __init__(self, instruments: Instruments, rng: random.Random) -> None:
        self._instruments = instruments
        self._rng = rng
        self._pending: list[tuple[str, Measurement]] = []
        self._latency_us: dict[str, float] = {}
        self._ended_us: dict[int, int] = {}

    def record(
        self,
        episode: Episode,
        models: Mapping[str, LoadedModel],
        stopped: Callable[[], bool],
        on_run: Callable[[str, float], None],
        known: Context,
    ) -> None:
        """Run the episode's models until its time is over or somebody says stop.

        Each model's first run is profiled. `on_run` is told the model and the seconds that a run took;
        `known` holds context that does not have to be read.

        Raises:
            ModelError: a model failed; its `model` says which.

        """
        owed = [name for name in models for _ in range(episode.least_runs)]
        self._rng.shuffle(owed)
        unseen = set(models)
        gc.disable()
        try:
            with pinned(episode.processor.core):
                self._instruments.sensors.restart()
                deadline = time.monotonic() + episode.seconds
                while not stopped() and (owed or time.monotonic() < deadline):
                    started = time.monotonic()
                    name = owed.pop() if owed else self._draw(list(models))
                    profiled = name in unseen or self._rng.random() >= UNPROFILED_SHARE
                    unseen.discard(name)
                    self._run(episode, name, models[name], profiled, known)
                    on_run(name, time.monotonic() - started)
        finally:
            gc.enable()

    def hand_over(self, source: Processor, target: Processor) -> list[TransferMeasurement]:
        """Time hand-overs of tensors of several sizes from one processor to another."""
        transfers = []
        with pinned(source.core), HandOver(target.core) as handover:
            self._instruments.sensors.restart()
            for size_bytes, tensor in self._instruments.tensors.items():
                context = self.context(source.core)
                started_us = self._instruments.clock.now_us()
                latency_us = handover.time_us(tensor)
                transfers.append(
                    TransferMeasurement(started_us, source.name, target.name, size_bytes, latency_us, context)
                )
        return transfers

    def collect(self, models: Mapping[str, LoadedModel]) -> list[Measurement]:
        """Return all runs since the last call in the order of their starts, with their kernels.

        Runs of a model whose profile does not tell them all apart keep their totals and lose their kernels.
        """
        profiles: dict[str, Iterator[RunProfile]] = {}
        for name, model in models.items():
            try:
                profiles[name] = iter(model.collect())
            except ProfileError:
                profiles[name] = iter(())
        finished = []
        for name, measurement in self._pending:
            profile = next(profiles[name], None) if measurement.profiled else None
            finished.append(
                measurement
                if profile is None
                else replace(measurement, kernels=profile.kernels, latency_us=profile.latency_us)
            )
        self._pending = []
        return finished

    def _draw(self, names: list[str]) -> str:
        weights = [self._latency_us.get(name, 1000.0) ** WEIGHT_EXPONENT for name in names]
        return self._rng.choices(names, weights)[0]

    def _run(self, episode: Episode, name: str, model: LoadedModel, profiled: bool, known: Context) -> None:
        time.sleep(self._rng.choice(PACES_S))
        context = known | self.context(episode.processor.core)
        started_us = self._instruments.clock.now_us()
        core = episode.processor.core
        if core in self._ended_us:
            context["idle_before_us"] = float(started_us - self._ended_us[core])
        timed = model.run(profiled=profiled)
        self._ended_us[core] = self._instruments.clock.now_us()
        self._latency_us[name] = timed.total_us
        context["first_run"] = timed.first
        self._pending.append(
            (
                name,
                Measurement(
                    started_at_us=started_us,
                    processor=episode.processor.name,
                    framework=model.framework,
                    model=model.identity,
                    context=context,
                    total_us=timed.total_us,
                    profiled=profiled,
                    condition=episode.condition,
                    calibration=episode.calibration,
                ),
            )
        )

    def context(self, core: int) -> Context:
        """Read the sensors of a core, and the probes on it."""
        context = self._instruments.sensors.read(core)
        context["probe_memory_us"] = self._instruments.probes.memory_us()
        context["probe_compute_us"] = self._instruments.probes.compute_us()
        return context
