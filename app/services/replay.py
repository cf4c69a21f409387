"""Replay a trace on a virtual clock: test-then-train with the engine that the service's learner drives."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import InvalidRequestError
from app.services.replay_report import report, write_predictions
from app.services.traces import Trace, read_trace
from predictors.evaluate import Scored, TestThenTrain
from predictors.forecast import Rung
from predictors.learning import Schedule
from predictors.profiler_price import profiler_price
from predictors.version import ALL_RUNGS

_LEAST_OFFLINE_RUNS = 10


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay on top of what; the fields are the command's options."""

    calibration: Path | None = None
    history: Path | None = None
    unseen: tuple[str, ...] = ()
    feedback_delay_ms: float = 0.0
    offline_runs: int | None = None
    rungs: tuple[Rung, ...] = ALL_RUNGS


@dataclass(frozen=True)
class Replay:
    """A finished replay: every run with its forecasts, in order, and how fast it went.

    `profiler_price` is by predictor key what `predictors.profiler_price` says of it, None where unknown.
    """

    trace: Trace
    scored: Sequence[Scored]
    runs_per_s: float
    profiler_price: Mapping[str, Any]

    def report(self) -> dict[str, Any]:
        """Return the report of `socast replay --json`."""
        return {
            "faults": len(self.trace.faults),
            **report(self.scored, self.runs_per_s),
            "profiler_price": dict(self.profiler_price),
        }

    def write_predictions(self, path: Path) -> None:
        """Write the CSV of `--predictions`."""
        write_predictions(path, self.scored, self.trace.model_names)


def replay(path: Path, options: ReplayOptions) -> Replay:
    """Predict each run of a trace before learning from it; deterministic but for the speed it reports.

    Raises a `SocastError` for files that cannot be read and models that no trace knows.
    """
    trace = read_trace(path)
    calibration = read_trace(options.calibration) if options.calibration else None
    history = read_trace(options.history) if options.history else None
    engine = TestThenTrain(
        unseen=_unseen(options.unseen, [part for part in (trace, calibration, history) if part]),
        feedback_delay_us=options.feedback_delay_ms * 1000.0,
        rungs=options.rungs,
        schedule=Schedule(offline_runs=_offline_runs(options, trace), quiet_share=1.0),
    )
    if calibration is not None:
        engine.calibrate(calibration.runs)
    if history is not None:
        engine.warm_up(history.runs)
    started = time.perf_counter()
    scored = [engine.step(run) for run in trace.runs]
    elapsed = time.perf_counter() - started
    prices = {str(version.key): profiler_price(version.calm) for version in engine.versions()}
    return Replay(trace, scored, len(scored) / max(elapsed, 1e-9), prices)


def _unseen(names: Sequence[str], traces: Sequence[Trace]) -> set[str]:
    models: set[str] = set()
    for name in names:
        found = set().union(*(trace.models_named(name) for trace in traces))
        if not found:
            known = sorted({known for trace in traces for known in trace.model_names.values()})
            raise InvalidRequestError(
                f"--unseen {name}: no trace has this model; they have {', '.join(known)}."
            )
        models |= found
    return models


def _offline_runs(options: ReplayOptions, trace: Trace) -> int:
    if options.offline_runs is not None:
        return max(options.offline_runs, 1)
    return max(len(trace.runs) // 10, _LEAST_OFFLINE_RUNS)
