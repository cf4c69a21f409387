"""Processors that were hardly measured: do their intervals hold, and how wide are they?

Each processor of the phones is predicted with its phone left out (from the other phones, or from the physical
prior alone) and 0, 1 or 4 runs of its own; whole runs count, apart by whether their network was among those.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from app.services.traces import read_trace
from predictors.calm_fit import operator_samples
from predictors.device_state import DeviceState
from predictors.forecast import LatencyForecast, Rung
from predictors.learning import KeyLearner, Schedule
from predictors.operator_model import OperatorModel
from predictors.run import PredictorKey, Run
from predictors.transfer import Pool
from predictors.version import PredictorVersion
from tests.accuracy.phones import by_key, kind_of
from tests.traces import traces_directory

COUNTS = (0, 1, 4)
DRAWS = 2
_MISS_PRICE = 2.0 / 0.1

Part = tuple[str, str, int, str]
"""From whom it starts, kind of processor, own runs, whether they were of the same network."""


def newcomers(runs: Sequence[Run]) -> Iterator[tuple[Part, LatencyForecast, float]]:
    """Predict every run of every processor; yield its part, its runtime forecast and what was measured."""
    groups, rng = by_key(runs), np.random.default_rng(3)
    pools = {
        soc: Pool.fit({key: operator_samples(own) for key, own in groups.items() if key.soc != soc})
        for soc in {key.soc for key in groups}
    }
    for key, own in groups.items():
        for start, siblings in {"other phones": pools[key.soc].start(key), "nothing": None}.items():
            for count in COUNTS:
                for _ in range(DRAWS if count else 1):
                    order = [own[place] for place in rng.permutation(len(own)).tolist()]
                    version = _profiled(key, order[:count], siblings)
                    met = {run.query.model for run in order[:count]}
                    for run in order[count:]:
                        same = "same network" if run.query.model in met else "another network"
                        forecast = version.forecast(run.query, DeviceState.initial(), (Rung.RUNTIME,))
                        yield (start, kind_of(key), count, same), forecast[Rung.RUNTIME].total, run.total_us


def _profiled(key: PredictorKey, runs: Sequence[Run], siblings: OperatorModel | None) -> PredictorVersion:
    learner = KeyLearner(PredictorVersion(key), Schedule())
    if runs:
        learner.profile(runs, {}, siblings, "first runs", final=False)
    else:
        learner.lean_on(siblings)
    return learner.version


def main() -> None:
    """Print the table; exit with a message where the trace is not at hand."""
    directory = traces_directory()
    if directory is None:
        raise SystemExit("The traces are not here: set SOCAST_TRACES to the folder that holds them.")
    found: dict[Part, list[tuple[float, float, float]]] = defaultdict(list)
    for part, total, measured_us in newcomers(read_trace(directory / "dev-phones.ndjson.gz").runs):
        below, above = max(total.low_us - measured_us, 0.0), max(measured_us - total.high_us, 0.0)
        width = (total.high_us - total.low_us) / measured_us
        winkler = width + _MISS_PRICE * (below + above) / measured_us
        found[part].append((float(not below and not above), total.high_us / total.low_us, winkler))
    table = Table("starts from", "kind", "own runs", "asked about", "runs", "held", "high / low", "winkler")
    table.title = "90 % intervals of processors hardly measured, one phone left out"
    for part, rows in sorted(found.items()):
        held, ratio, winkler = np.mean(rows, axis=0)
        table.add_row(*map(str, part), str(len(rows)), f"{held:.0%}", f"{ratio:.1f}", f"{winkler:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
