"""Executes a plan: one thread pinned to each processor's core works through its stages."""

import time
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np

from collectors.errors import PlanError
from collectors.executor.buffers import Buffers
from collectors.executor.execution import Array, Execution
from collectors.executor.source import SourceModel
from collectors.executor.wiring import WiredStage, read_stages, wire
from collectors.executor.worker import Done, ReadyStage, workers
from predictors.graph import Shape

Inputs = Mapping[str, Array]


class PlanExecutor:
    """A plan made executable on this host, as a context manager.

    `models` are the files of the request in its order, or the only one; `cores` maps the plan's processors
    to cores, of which those called `ov:N` run OpenVINO and all others ONNX Runtime. `input_shapes` binds
    open dimensions (of all models), `releases_us` says when each model's stages may start at the earliest.
    Sessions and buffers are made once; `run` may be called any number of times, by one thread.

    Raises:
        PlanError: the plan is for other models or other processors, or splits what cannot be split.

    """

    def __init__(
        self,
        models: bytes | Sequence[bytes],
        plan: Mapping[str, Any],
        cores: Mapping[str, int],
        input_shapes: Mapping[str, Shape] | None = None,
        releases_us: Sequence[float] = (),
    ) -> None:
        files = [models] if isinstance(models, bytes) else list(models)
        planned = read_stages(plan, len(files))
        strangers = sorted({stage.processor for stage in planned} - cores.keys())
        if strangers:
            raise PlanError(f"this host has no processor {', '.join(strangers)}; it has {', '.join(cores)}")
        releases = [*releases_us, *[0.0] * (len(files) - len(releases_us))]
        self._sources = [SourceModel(data, input_shapes) for data in files]
        self._buffers: list[Buffers] = []
        stages: list[ReadyStage] = []
        for index, source in enumerate(self._sources):
            wired = wire(source, [stage for stage in planned if stage.model == index])
            _check_order(wired)
            self._buffers.append(Buffers(source, wired))
            stages += self._ready(wired, self._buffers[-1], cores, releases[index])
        self._stages = sorted(stages, key=lambda stage: (stage.planned.start_us, stage.planned.id))
        _keep_after(self._stages)
        self._workers = workers(self._stages, cores)

    def __enter__(self) -> "PlanExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def inputs(self) -> list[dict[str, tuple[Shape, np.dtype[Any]]]]:
        """Shape and element type of each input, for each model."""
        return [
            {name: (source.shape(name), source.dtype(name)) for name in source.graph.inputs}
            for source in self._sources
        ]

    def close(self) -> None:
        """End all threads."""
        for worker in self._workers:
            worker.close()

    def run(self, inputs: Inputs | Sequence[Inputs]) -> Execution:
        """Run the plan once, on the inputs of each model in order, or of the only one.

        Raises:
            PlanError: an input is missing or of another shape, or a stage failed; nothing was measured.

        """
        self._feed([inputs] if isinstance(inputs, Mapping) else inputs)
        done: Done = SimpleQueue()
        start_ns = time.perf_counter_ns()
        for worker in self._workers:
            worker.start(start_ns, done)
        errors = [error for error in (done.get() for _ in self._workers) if error is not None]
        latency_us = (time.perf_counter_ns() - start_ns) / 1000
        if errors:
            raise PlanError(f"a stage failed: {errors[0]}") from errors[0]
        timings = [stage.timing for stage in self._stages if stage.timing is not None]
        timings.sort(key=lambda timing: (timing.start_us, timing.id))
        hand_overs = tuple(filter(None, (stage.hand_over() for stage in self._stages)))
        results = tuple(buffers.results() for buffers in self._buffers)
        return Execution(results, latency_us, tuple(timings), hand_overs)

    def _feed(self, inputs: Sequence[Inputs]) -> None:
        if len(inputs) != len(self._sources):
            raise PlanError(f"inputs of {len(inputs)} models were given, the plan has {len(self._sources)}")
        for source, buffers, given in zip(self._sources, self._buffers, inputs, strict=True):
            for name in source.graph.inputs:
                array = buffers.whole[name]
                if name not in given or given[name].shape != array.shape:
                    raise PlanError(f"input {name!r} has to be given with shape {array.shape}")
                np.copyto(array, given[name])

    def _ready(
        self, wired: Sequence[WiredStage], buffers: Buffers, cores: Mapping[str, int], release_us: float
    ) -> list[ReadyStage]:
        ready = [ReadyStage(stage, buffers, cores[stage.planned.processor], release_us) for stage in wired]
        for stage, facts in zip(ready, wired, strict=True):
            for place in facts.reads_from:
                if ready[place].planned.processor != stage.planned.processor:
                    stage.wait_for(ready[place], _size_bytes(buffers, wired[place], facts))
        return ready


def _size_bytes(buffers: Buffers, writer: WiredStage, reader: WiredStage) -> int:
    """Return how much of what one stage reads another one wrote."""
    return sum(
        buffers.output(tensor, part).nbytes
        for tensor, part in writer.cut.outputs.items()
        if tensor in reader.cut.inputs
    )


def _keep_after(stages: Sequence[ReadyStage]) -> None:
    """Have stages of one model wait for those of another that the plan puts before them."""
    place_of = {stage.planned.id: place for place, stage in enumerate(stages)}
    for place, stage in enumerate(stages):
        for number in stage.planned.after:
            earlier = place_of.get(number)
            if earlier is None or stages[earlier].planned.model == stage.planned.model:
                continue
            if earlier >= place:
                raise PlanError(f"stage {stage.planned.id} would wait for a stage that starts after it")
            if stages[earlier].planned.processor != stage.planned.processor:
                stage.wait_for(stages[earlier], 0)


def _check_order(stages: Sequence[WiredStage]) -> None:
    """Stages are in the order of their planned starts: nobody may wait for a later one."""
    for place, stage in enumerate(stages):
        if any(earlier >= place for earlier in stage.reads_from):
            raise PlanError(f"stage {stage.planned.id} would wait for a stage that starts after it")
