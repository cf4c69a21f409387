"""One session of the agent: calibration, then regimes, every measurement into the spool at once."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from collectors.clock import AnchoredClock
from collectors.conditions import draw_regime, read_conditions
from collectors.device import describe_host, find_processors, usable_cores
from collectors.episode import Instruments, Recorder
from collectors.errors import CollectorError, ModelError
from collectors.handover import allocate_tensors
from collectors.load import applied
from collectors.measurement import Measurement, TransferMeasurement
from collectors.model_cache import ModelCache
from collectors.models import LIGHT, ModelFile, find_models
from collectors.neighbour import Neighbour, bytes_per_us
from collectors.outbox import Outbox
from collectors.probes import Probes
from collectors.runners.engines import runners_for
from collectors.runners.runner import LoadedModel
from collectors.schedule import Episode, FairShare, calibration, calibration_s, regimes
from collectors.scratch import scratch_folder
from collectors.sensors import Sensors
from collectors.slice_source import SLICES, SliceSource
from collectors.spool import CAP_BYTES, Spool
from collectors.uploader_process import UploaderProcess

ALL_CONDITIONS = ("s0", "s1", "s2", "s3", "s4", "pair")
DRAIN_S = 10.0
"""How long the end of a session waits for the rest to be uploaded; what is left stays in the spool."""

Event = Mapping[str, object]
Counts = dict[str, int | float | str | None]


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What an agent is asked to do; `seconds` none means until it is stopped.

    Where there is no `server`, everything measured stays in the spool.
    """

    server: str | None
    spool: Path
    key: str | None = field(default=None, repr=False)
    models: str = LIGHT
    conditions: tuple[str, ...] = ALL_CONDITIONS
    seconds: float | None = None
    processors: tuple[str, ...] = ()
    device_id: str | None = None
    spool_cap_bytes: int = CAP_BYTES
    seed: int | None = None


class Session:
    """The state of one call of `run`; what it opens is closed by the given stack."""

    def __init__(
        self,
        options: AgentOptions,
        on_event: Callable[[Event], None],
        stop: threading.Event,
        stack: ExitStack,
    ) -> None:
        self._options = options
        self._on_event = on_event
        self._stop = stop
        self._rng = random.Random(options.seed)
        self._conditions = read_conditions()
        for name in options.conditions:
            if name not in self._conditions:
                raise CollectorError(f"no condition {name!r}; there are {', '.join(self._conditions)}")
        self._cores = usable_cores()
        self._device = describe_host(find_processors(options.processors, self._cores), options.device_id)
        files = sorted(find_models(options.models), key=lambda file: file.path.stat().st_size)
        self._spool = Spool(options.spool, options.spool_cap_bytes)
        stack.callback(self._spool.close)
        self._outbox = Outbox(self._spool, self._device)
        self._clock = AnchoredClock()
        sensors = Sensors(processor.core for processor in self._device.processors)
        stack.callback(sensors.close)
        scratch = stack.enter_context(scratch_folder())
        runners = runners_for(self._device.processors, scratch)
        self._cache = ModelCache(runners, files)
        stack.callback(self._cache.close)
        self._shares = FairShare([file.identity.name for file in files], self._rng)
        self._slices = SliceSource(scratch, self._rng)
        instruments = Instruments(sensors, Probes(), self._clock, allocate_tensors())
        self._recorder = Recorder(instruments, self._rng)
        self._uploader: UploaderProcess | None = None
        if options.server is not None:
            self._uploader = UploaderProcess(options.server, options.spool, options.key)
            stack.callback(self._uploader.kill)
        self._traffic: dict[str, float] = {}
        self._started = time.monotonic()
        self._runs = self._timings = 0
        self._announce(files, ", ".join(runner.framework for runner in runners.values()))

    def calibrate(self) -> None:
        """Time every model on every processor in calm conditions."""
        processors, models = self._device.processors, self._shares.pick(len(self._shares))
        total_s = calibration_s(self._options.seconds, processors)
        models_s = total_s * len(models) / (len(models) + 1)
        end = self._started + models_s
        self._play(calibration(processors, models, models_s, lambda: end - time.monotonic()))
        if self._renew_slices():
            self._shares.add(SLICES)
            slices_s = total_s - models_s
            self._play(calibration(processors, (SLICES,), slices_s, lambda: slices_s))

    def experiment(self) -> None:
        """Let conditions come and go until the time is over."""
        processors, wanted = self._device.processors, self._options.conditions
        several = len({processor.core for processor in processors}) > 1
        possible = [name for name in wanted if several or not self._conditions[name].neighbour]
        if possible:
            self._play(regimes(processors, possible, self._shares, self._options.seconds, self._rng))

    def finish(self) -> Counts:
        """Give the uploader a moment for the rest, and report."""
        if self._uploader is not None:
            self._uploader.finish(DRAIN_S)
        counts = self._counts()
        self._on_event({"event": "finished", **counts})
        return counts

    def _play(self, episodes: Iterator[Episode]) -> None:
        for episode in episodes:
            if self._is_over():
                return
            if not len(self._shares):
                raise CollectorError(f"none of the models in {self._options.models!r} can be run here")
            try:
                self._episode(episode)
            except ModelError as error:
                self._on_event({"event": "model_skipped", "model": error.model, "reason": str(error)})
                self._shares.drop(error.model)
                self._cache.drop(error.model)

    def _episode(self, episode: Episode) -> None:
        engine = episode.processor.engine
        models = {name: self._ready(name, engine) for name in episode.models if name in self._shares}
        self._cache.make_room(in_use=models)
        transfers: Sequence[TransferMeasurement] = ()
        condition = self._conditions[episode.condition]
        regime = draw_regime(episode.condition, condition, episode.processor.core, self._cores, self._rng)
        neighbour = self._neighbour(episode) if condition.neighbour else Neighbour()
        waiting = False
        try:
            with applied(regime, episode.seconds) as description, neighbour:
                self._on_event(
                    {
                        "event": "episode",
                        "condition": episode.condition,
                        "processor": episode.processor.name,
                        "load": neighbour.description or description,
                        "calibration": episode.calibration,
                        "seconds": round(episode.seconds, 3),
                        "models": list(models),
                    }
                )
                transfers = self._hand_over(episode)
                self._recorder.record(episode, models, self._is_over, self._shares.spend, neighbour.context)
                waiting = episode.continued and not self._is_over()
        finally:
            if not waiting:
                self._deliver(self._recorder.collect(models), transfers)
        if SLICES in models and not episode.continued:
            self._renew_slices()

    def _hand_over(self, episode: Episode) -> Sequence[TransferMeasurement]:
        """Time hand-overs from the episode's processor to another one, where there is any."""
        others = [other for other in self._device.processors if other != episode.processor]
        if episode.calibration or self._is_over() or not others:
            return ()
        return self._recorder.hand_over(episode.processor, self._rng.choice(others))

    def _neighbour(self, episode: Episode) -> Neighbour:
        """Have another model at work on another processor."""
        others = [other for other in self._device.processors if other.core != episode.processor.core]
        names = self._shares.pick(len(self._shares))
        name = next((name for name in names if name not in episode.models), names[0])
        other = self._rng.choice(others)
        return Neighbour(self._ready(name, other.engine), other.core, self._traffic.get(name))

    def _renew_slices(self) -> bool:
        """Have other slices next time; tell whether any kernel seen so far can be sliced."""
        file = self._slices.make()
        if file is not None:
            self._cache.replace(file)
        return file is not None

    def _deliver(self, measurements: Sequence[Measurement], transfers: Sequence[TransferMeasurement]) -> None:
        self._outbox.put(measurements, transfers)
        self._slices.learn(measurements)
        self._traffic |= {run.model.name: bytes_per_us(run) for run in measurements if run.kernels}
        self._runs += len(measurements)
        self._timings += sum(len(measurement.latency_us) for measurement in measurements)
        if self._uploader is not None:
            self._uploader.ensure_alive()
        step_us = self._clock.resync()
        if step_us:
            self._on_event({"event": "clock_jump", "step_us": step_us})
        self._on_event({"event": "progress", **self._counts()})

    def _ready(self, name: str, engine: str) -> LoadedModel:
        started = time.monotonic()
        try:
            return self._cache.ready(name, engine)
        finally:
            self._shares.spend(name, time.monotonic() - started)

    def _is_over(self) -> bool:
        limit_s = self._options.seconds
        return self._stop.is_set() or (limit_s is not None and time.monotonic() - self._started >= limit_s)

    def _counts(self) -> Counts:
        return {
            "elapsed_s": round(time.monotonic() - self._started, 3),
            "runs": self._runs,
            "timings": self._timings,
            **self._outbox.counts(),
        }

    def _announce(self, files: Sequence[ModelFile], framework: str) -> None:
        self._outbox.register(files)
        self._on_event(
            {
                "event": "started",
                "device_id": self._device.device_id,
                "soc": self._device.soc,
                "processors": [processor.name for processor in self._device.processors],
                "framework": framework,
                "models": [file.identity.name for file in files],
                "conditions": list(self._options.conditions),
                "seconds": self._options.seconds,
                "spool": str(self._options.spool),
            }
        )
