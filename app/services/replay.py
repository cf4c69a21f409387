"""Replay a trace on a virtual clock: test-then-train with the engine that the service's learner drives."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import InvalidRequestError
from app.services.replay_report import report, write_predictions
from app.services.traces import Trace, in_time, read_trace
from predictors.evaluate import Scored, TestThenTrain
from predictors.forecast import Rung
from predictors.learning import load_libraries
from predictors.profiler_price import profiler_price
from predictors.schedule import Schedule
from predictors.version import ALL_RUNGS, PredictorVersion

_ENOUGH_OFFLINE_RUNS = 10
"""Default of --offline-runs where a tenth is less, though never more than half of what a key has."""


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
    """A finished replay: every run with its forecasts, in the order of their start, and how fast it went.

    By predictor key: `profiler_price` is what `predictors.profiler_price` says, None where unknown; `calm`
    tells which runs the calm rung rests on, how many they are, and whether it is frozen by now.
    `remarks` is what somebody who reads the figures should know.
    """

    trace: Trace
    scored: Sequence[Scored]
    runs_per_s: float
    profiler_price: Mapping[str, Any]
    calm: Mapping[str, Any]
    remarks: Sequence[str] = ()

    def report(self) -> dict[str, Any]:
        """Return the report of `socast replay --json`."""
        return {
            "faults": len(self.trace.faults),
            "duplicates": self.trace.duplicates,
            **report(self.scored, self.runs_per_s),
            "profiler_price": dict(self.profiler_price),
            "calm": dict(self.calm),
        }

    def write_predictions(self, path: Path) -> None:
        """Write the CSV of `--predictions`, in the order of the trace; it is there whole or not at all."""
        by_id = {item.run.run_id: item for item in self.scored}
        unfinished = path.with_name(path.name + ".part")
        write_predictions(unfinished, [by_id[run.run_id] for run in self.trace.runs], self.trace.model_names)
        unfinished.replace(path)


def replay(path: Path, options: ReplayOptions) -> Replay:
    """Predict each run of a trace before learning from it; deterministic but for the speed it reports.

    Raises a `SocastError` for files that cannot be read and models that no trace knows.
    """
    trace = read_trace(path)
    calibration = _earlier("--calibration", options.calibration)
    history = _earlier("--history", options.history)
    engine = TestThenTrain(
        unseen=_unseen(options.unseen, [part for part in (trace, calibration, history) if part]),
        feedback_delay_us=options.feedback_delay_ms * 1000.0,
        rungs=options.rungs,
        schedule=Schedule(offline_runs=_offline_runs(options, trace), quiet_share=1.0),
    )
    if calibration is not None:
        engine.calibrate(in_time(calibration.runs))
    if history is not None:
        engine.warm_up(in_time(history.runs))
    load_libraries()
    started = time.perf_counter()
    scored = [engine.step(run) for run in in_time(trace.runs)]
    elapsed = time.perf_counter() - started
    prices = {str(version.key): profiler_price(version.calm) for version in engine.versions()}
    calm = {str(version.key): _calm(version) for version in engine.versions()}
    remarks = _remarks(trace, {"--calibration": calibration, "--history": history})
    return Replay(trace, scored, len(scored) / max(elapsed, 1e-9), prices, calm, remarks)


def _calm(version: PredictorVersion) -> dict[str, Any]:
    return {"source": version.calm_source, "runs": version.calm_runs, "frozen": version.calm_final}


def _earlier(option: str, path: Path | None) -> Trace | None:
    """Read a trace to learn from; raise `InvalidRequestError` where it has nothing to tell."""
    if path is None:
        return None
    trace = read_trace(path)
    if not trace.runs:
        raise InvalidRequestError(f"{option} {path}: it has no usable runs.", faults=tuple(trace.faults[:10]))
    return trace


def _remarks(trace: Trace, earlier: Mapping[str, Trace | None]) -> list[str]:
    remarks = []
    if trace.faults:
        first = trace.faults[0]
        remarks.append(
            f"{len(trace.faults)} faulty parts were left out; the first: {first.pointer}: {first.detail}"
        )
    for option, other in earlier.items():
        shared = trace.shared_with(other) if other is not None else 0
        if shared:
            remarks.append(f"{shared} runs are in {option} too and were learned from: their errors flatter.")
    return remarks


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
    """Return how many first runs of each key serve as its calm profile where no calibration has the key."""
    if options.offline_runs is not None:
        return max(options.offline_runs, 1)
    own = len(trace.runs) // max(len({run.query.key for run in trace.runs}), 1)
    return max(own // 10, min(own // 2, _ENOUGH_OFFLINE_RUNS), 1)
