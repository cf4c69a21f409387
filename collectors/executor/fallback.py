"""A plan where it can be executed, the whole model on one core where it cannot: a result either way."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import onnxruntime as ort

from collectors.errors import PlanError
from collectors.executor.engines import onnxruntime_session
from collectors.executor.execution import Array, Execution
from collectors.executor.plan_executor import PlanExecutor
from collectors.pinning import pinned
from predictors.graph import Shape


class FallbackExecutor:
    """Executes a plan of one model and, once that has failed, the whole model, as a context manager.

    `reason` says why the plan is not executed; executions then carry it too, and are no measurement of the
    plan.
    """

    def __init__(
        self,
        model: bytes,
        plan: Mapping[str, Any],
        cores: Mapping[str, int],
        input_shapes: Mapping[str, Shape] | None = None,
    ) -> None:
        self.reason: str | None = None
        self._model = model
        self._core = next(iter(cores.values()))
        self._whole: ort.InferenceSession | None = None
        self._plan: PlanExecutor | None = None
        try:
            self._plan = PlanExecutor(model, plan, cores, input_shapes)
        except PlanError as error:
            self.reason = str(error)

    def __enter__(self) -> "FallbackExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the plan's threads."""
        if self._plan is not None:
            self._plan.close()
            self._plan = None

    def run(self, inputs: Mapping[str, Array]) -> Execution:
        """Run the plan, or the whole model.

        Raises:
            PlanError: neither gives a result with these inputs.

        """
        if self._plan is not None:
            try:
                return self._plan.run(inputs)
            except PlanError as error:
                execution = self._run_whole(inputs, str(error))
                self.reason = str(error)
                self.close()
                return execution
        return self._run_whole(inputs, self.reason or "")

    def _run_whole(self, inputs: Mapping[str, Array], reason: str) -> Execution:
        try:
            self._whole = self._whole or onnxruntime_session(self._model)
            names = [output.name for output in self._whole.get_outputs()]
            with pinned(self._core):
                start_ns = time.perf_counter_ns()
                values = self._whole.run(names, dict(inputs))
                latency_us = (time.perf_counter_ns() - start_ns) / 1000
        except Exception as error:
            raise PlanError(f"neither the plan nor the whole model runs: {reason}; {error}") from error
        outputs = dict(zip(names, values, strict=True))
        return Execution((outputs,), latency_us, (), fallback_reason=reason)
