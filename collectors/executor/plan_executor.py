"""Executes a plan: one thread pinned to each processor's core works through its stages."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from collectors.errors import PlanError
from collectors.executor.buffers import Buffers, Copy
from collectors.executor.source import SourceModel
from collectors.executor.wiring import PlannedStage, WiredStage, read_stages, wire
from collectors.pinning import pinned
from predictors.graph import Shape

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When a stage ran, in microseconds after the start of the run, and how long its thread waited for it."""

    id: int
    processor: str
    start_us: float
    end_us: float
    waited_us: float


@dataclass(frozen=True, slots=True)
class StageHandOver:
    """A stage that waited for another processor: from the end there to its own start, in microseconds."""

    source: str
    target: str
    size_bytes: int
    latency_us: float


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: the model's outputs by name, its latency, its stages, and the hand-overs between them.

    With a `fallback_reason` the whole model ran instead of the plan.
    """

    outputs: Mapping[str, Array]
    latency_us: float
    stages: tuple[StageTiming, ...]
    hand_overs: tuple[StageHandOver, ...] = ()
    fallback_reason: str | None = None


class _Stage:
    """A stage ready to run: its session with all tensors bound to their buffers."""

    def __init__(self, wired: WiredStage, buffers: Buffers) -> None:
        self.planned: PlannedStage = wired.planned
        self.tokens: SimpleQueue[None] = SimpleQueue()
        self.awaited = 0
        self.followers: list[_Stage] = []
        self.leaders: list[tuple[_Stage, int]] = []
        self.timing: StageTiming | None = None
        self._copies: list[Copy] = []
        self._session = _session(wired)
        self._binding = self._session.io_binding()
        self._held: list[ort.OrtValue] = []
        for tensor, part in wired.cut.inputs.items():
            array, copies = buffers.input(tensor, part)
            self._copies += copies
            self._binding.bind_ortvalue_input(tensor, self._hold(array))
        names = [value.name for value in self._session.get_outputs()]
        for name, (tensor, part) in zip(names, wired.cut.outputs.items(), strict=True):
            self._binding.bind_ortvalue_output(name, self._hold(buffers.output(tensor, part)))

    def run(self) -> None:
        for target, origin in self._copies:
            np.copyto(target, origin)
        self._session.run_with_iobinding(self._binding)

    def _hold(self, array: Array) -> ort.OrtValue:
        value = ort.OrtValue.ortvalue_from_numpy(array)
        self._held.append(value)
        return value


class PlanExecutor:
    """A plan made executable on this host, as a context manager.

    `cores` maps the plan's processors to cores. Sessions and buffers are made once; `run` may be called
    any number of times, by one thread.

    Raises:
        PlanError: the plan is for another model or other processors, or splits what cannot be split.

    """

    def __init__(
        self,
        model: bytes,
        plan: Mapping[str, Any],
        cores: Mapping[str, int],
        input_shapes: Mapping[str, Shape] | None = None,
    ) -> None:
        planned = read_stages(plan)
        strangers = sorted({stage.processor for stage in planned} - cores.keys())
        if strangers:
            raise PlanError(f"this host has no processor {', '.join(strangers)}; it has {', '.join(cores)}")
        self._source = SourceModel(model, input_shapes)
        wired = wire(self._source, planned)
        self._buffers = Buffers(self._source, wired)
        self._stages = [_Stage(stage, self._buffers) for stage in wired]
        _check_order(wired)
        for stage, facts in zip(self._stages, wired, strict=True):
            for place in facts.reads_from:
                if self._stages[place].planned.processor != stage.planned.processor:
                    self._stages[place].followers.append(stage)
                    stage.leaders.append((self._stages[place], self._size_bytes(wired[place], facts)))
                    stage.awaited += 1
        used = list(dict.fromkeys(stage.planned.processor for stage in self._stages))
        self._workers = [
            _Worker(cores[name], [stage for stage in self._stages if stage.planned.processor == name])
            for name in used
        ]

    def __enter__(self) -> "PlanExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def inputs(self) -> Mapping[str, tuple[Shape, np.dtype[Any]]]:
        """Shape and element type of each input."""
        return {
            name: (self._source.shape(name), self._source.dtype(name)) for name in self._source.graph.inputs
        }

    def close(self) -> None:
        """End all threads."""
        for worker in self._workers:
            worker.close()

    def run(self, inputs: Mapping[str, Array]) -> Execution:
        """Run the plan once.

        Raises:
            PlanError: an input is missing or of another shape, or a stage failed; nothing was measured.

        """
        self._feed(inputs)
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        start_ns = time.perf_counter_ns()
        for worker in self._workers:
            worker.start(start_ns, done)
        errors = [error for error in (done.get() for _ in self._workers) if error is not None]
        latency_us = (time.perf_counter_ns() - start_ns) / 1000
        if errors:
            raise PlanError(f"a stage failed: {errors[0]}") from errors[0]
        timings = [stage.timing for stage in self._stages if stage.timing is not None]
        timings.sort(key=lambda timing: (timing.start_us, timing.id))
        hand_overs = tuple(filter(None, map(_hand_over, self._stages)))
        return Execution(self._buffers.results(), latency_us, tuple(timings), hand_overs)

    def _size_bytes(self, writer: WiredStage, reader: WiredStage) -> int:
        """Return how much of what one stage reads another one wrote."""
        return sum(
            self._buffers.output(tensor, part).nbytes
            for tensor, part in writer.cut.outputs.items()
            if tensor in reader.cut.inputs
        )

    def _feed(self, inputs: Mapping[str, Array]) -> None:
        for name in self._source.graph.inputs:
            array = self._buffers.whole[name]
            if name not in inputs or inputs[name].shape != array.shape:
                raise PlanError(f"input {name!r} has to be given with shape {array.shape}")
            np.copyto(array, inputs[name])


class _Worker:
    """A thread on one core that runs its stages in the plan's order whenever it is told to start."""

    def __init__(self, core: int, stages: Sequence[_Stage]) -> None:
        self._core = core
        self._stages = stages
        self._orders: SimpleQueue[tuple[int, SimpleQueue[BaseException | None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def start(self, start_ns: int, done: SimpleQueue[BaseException | None]) -> None:
        self._orders.put((start_ns, done))

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        failure: BaseException | None = None
        with ExitStack() as stack:
            try:
                stack.enter_context(pinned(self._core))
            except OSError as error:
                failure = PlanError(f"core {self._core} cannot be used: {error}")
            while (order := self._orders.get()) is not None:
                start_ns, done = order
                done.put(self._run(start_ns, failure))

    def _run(self, start_ns: int, failure: BaseException | None) -> BaseException | None:
        """Run all stages; after a failure only pass the tokens on, so that nobody waits for ever."""
        for stage in self._stages:
            failure = self._step(stage, start_ns, failure)
        return failure

    def _step(self, stage: _Stage, start_ns: int, failure: BaseException | None) -> BaseException | None:
        idle_ns = time.perf_counter_ns()
        for _ in range(stage.awaited):
            stage.tokens.get()
        begin_ns = time.perf_counter_ns()
        if failure is None:
            try:
                stage.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other threads must not wait
                failure = error
        end_ns = time.perf_counter_ns()
        for follower in stage.followers:
            follower.tokens.put(None)
        stage.timing = StageTiming(
            id=stage.planned.id,
            processor=stage.planned.processor,
            start_us=(begin_ns - start_ns) / 1000,
            end_us=(end_ns - start_ns) / 1000,
            waited_us=(begin_ns - idle_ns) / 1000,
        )
        return failure


def _hand_over(stage: _Stage) -> StageHandOver | None:
    """Return the hand-over that a stage waited for; none where it could start as soon as its thread could."""
    if stage.timing is None or not stage.leaders:
        return None
    ended = {leader.timing.end_us: (leader, size) for leader, size in stage.leaders if leader.timing}
    last_us = max(ended)
    if last_us <= stage.timing.start_us - stage.timing.waited_us:
        return None
    leader, size_bytes = ended[last_us]
    latency_us = stage.timing.start_us - last_us
    return StageHandOver(leader.planned.processor, stage.planned.processor, size_bytes, latency_us)


def _session(wired: WiredStage) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(
            wired.cut.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise PlanError(f"stage {wired.planned.id} of the plan cannot be built: {error}") from error


def _check_order(stages: Sequence[WiredStage]) -> None:
    """Stages are in the order of their planned starts: nobody may wait for a later one."""
    for place, stage in enumerate(stages):
        if any(earlier >= place for earlier in stage.reads_from):
            raise PlanError(f"stage {stage.planned.id} would wait for a stage that starts after it")
