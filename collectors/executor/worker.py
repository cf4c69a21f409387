"""A thread on one core that runs its stages in the plan's order, and the stages with their waits."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from queue import SimpleQueue

import numpy as np

from collectors.errors import PlanError
from collectors.executor import engines
from collectors.executor.buffers import Buffers, Copy
from collectors.executor.execution import StageHandOver, StageTiming
from collectors.executor.wiring import PlannedStage, WiredStage
from collectors.pinning import pinned

Done = SimpleQueue[BaseException | None]


class ReadyStage:
    """A stage ready to run: its session on its buffers, whom it waits for and who waits for it."""

    def __init__(self, wired: WiredStage, buffers: Buffers, core: int, release_us: float = 0.0) -> None:
        self.planned: PlannedStage = wired.planned
        self.timing: StageTiming | None = None
        self.release_us = release_us
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._followers: list[ReadyStage] = []
        self._leaders: list[tuple[ReadyStage, int]] = []
        self._copies: list[Copy] = []
        inputs = {}
        for tensor, part in wired.cut.inputs.items():
            inputs[tensor], copies = buffers.input(tensor, part)
            self._copies += copies
        outputs = [buffers.output(tensor, part) for tensor, part in wired.cut.outputs.items()]
        try:
            model = wired.cut.model.SerializeToString()
            self._session = engines.build(self.planned.processor, core, model, inputs, outputs)
        except PlanError as error:
            raise PlanError(f"stage {self.planned.id} of the plan cannot be built: {error}") from error

    def wait_for(self, leader: "ReadyStage", size_bytes: int) -> None:
        """Have this stage start after one of another processor, whose bytes it reads."""
        leader._followers.append(self)
        self._leaders.append((leader, size_bytes))

    def await_leaders(self, start_ns: int) -> None:
        """Wait until everything is there that this stage reads, and its release time has come."""
        for _ in self._leaders:
            self._tokens.get()
        early_us = self.release_us - (time.perf_counter_ns() - start_ns) / 1000
        if early_us > 0:
            time.sleep(early_us / 1e6)

    def run(self) -> None:
        """Gather what lies in parts, and compute."""
        for target, origin in self._copies:
            np.copyto(target, origin)
        self._session.run()

    def pass_on(self) -> None:
        """Tell those who wait."""
        for follower in self._followers:
            follower._tokens.put(None)

    def hand_over(self) -> StageHandOver | None:
        """Return the hand-over that this waited for; none where it started as soon as its thread could."""
        if self.timing is None or not self._leaders:
            return None
        ended = {leader.timing.end_us: (leader, size) for leader, size in self._leaders if leader.timing}
        last_us = max(ended)
        if last_us <= max(self.timing.start_us - self.timing.waited_us, self.release_us):
            return None
        leader, size_bytes = ended[last_us]
        latency_us = self.timing.start_us - last_us
        return StageHandOver(leader.planned.processor, self.planned.processor, size_bytes, latency_us)


class Worker:
    """A thread on one core that runs its stages in the plan's order whenever it is told to start."""

    def __init__(self, core: int, stages: Sequence[ReadyStage]) -> None:
        self._core = core
        self._stages = stages
        self._orders: SimpleQueue[tuple[int, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def start(self, start_ns: int, done: Done) -> None:
        """Run all stages once; put the failure, or none, into `done`."""
        self._orders.put((start_ns, done))

    def close(self) -> None:
        """End the thread."""
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
            failure = _step(stage, start_ns, failure)
        return failure


def _step(stage: ReadyStage, start_ns: int, failure: BaseException | None) -> BaseException | None:
    idle_ns = time.perf_counter_ns()
    stage.await_leaders(start_ns)
    begin_ns = time.perf_counter_ns()
    if failure is None:
        try:
            stage.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other threads must not wait
            failure = error
    end_ns = time.perf_counter_ns()
    stage.pass_on()
    stage.timing = StageTiming(
        id=stage.planned.id,
        processor=stage.planned.processor,
        start_us=(begin_ns - start_ns) / 1000,
        end_us=(end_ns - start_ns) / 1000,
        waited_us=(begin_ns - idle_ns) / 1000,
    )
    return failure


def workers(stages: Sequence[ReadyStage], cores: Mapping[str, int]) -> list[Worker]:
    """Return one started worker for each processor that has stages."""
    used = dict.fromkeys(stage.planned.processor for stage in stages)
    return [
        Worker(cores[name], [stage for stage in stages if stage.planned.processor == name]) for name in used
    ]
