"""How fast predicting, refitting and absorbing are on one core of this machine.

Everything runs on one thread; processor time is counted, so that a busy machine tells the same.
"""

from time import process_time

import numpy as np

from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.run import Run
from tests.accuracy.dynamic import Traces

MOST_TIMINGS = 100_000


def speeds(traces: Traces) -> dict[str, float]:
    """Return the figures that the targets name, in their units."""
    engine = TestThenTrain(rungs=(Rung.CALM, Rung.RUNTIME))
    engine.calibrate(traces.calibration.runs)
    engine.warm_up(traces.history.runs)
    started = process_time()
    for run in traces.stream.runs:
        engine.step(run)
    runs_per_s = len(traces.stream.runs) / (process_time() - started)
    longest = max(traces.calibration.runs, key=lambda run: len(run.query.operators))
    query = engine.resolve(longest.query)
    version, state = engine.version(query.key), engine.state(query.device_id, query.key)
    operators = (query.operators * 120)[:120]
    version.operator_latencies_us(operators, query, state)
    return {
        "replay, calm and runtime, with refits (runs/s)": runs_per_s,
        "120 operators, warm (ms)": 1e3
        * _typical(lambda: version.operator_latencies_us(operators, query, state)),
        "absorbing one run (ms)": 1e3 * _typical(lambda: version.absorb(state, longest)),
        "refit on 100,000 timings (s)": _refit_s(traces),
        "state of a device (bytes)": float(len(state.to_json())),
        "version (bytes)": float(len(version.to_bytes())),
    }


def _typical(call: object, repeats: int = 50) -> float:
    assert callable(call)
    times = []
    for _ in range(repeats):
        started = process_time()
        call()
        times.append(process_time() - started)
    return float(np.median(times))


def _refit_s(traces: Traces) -> float:
    """Return how long it takes to learn that many timings from nothing: calm profile, rows, runtime model."""
    runs: list[Run] = []
    count = 0
    for run in (*traces.calibration.runs, *traces.history.runs):
        if count + len(run.latency_us) > MOST_TIMINGS:
            break
        count += len(run.latency_us)
        runs.append(run)
    started = process_time()
    TestThenTrain().calibrate(runs)
    return process_time() - started
