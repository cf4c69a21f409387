"""Calm accuracy on real phones: one network left out at a time, one phone left out.

    python -m tests.accuracy.phones

The trace holds three phones (CPU clusters with 1, 2 and 4 threads, and GPUs) and four networks, three runs
each. A network is left out everywhere, or on one phone while others keep it, or on one processor alone. A
cell is one processor and one left-out network; it counts as `thin` where only one other network was timed on
that processor. `sum` is the mean absolute percentage error of a run's operators added up, `operator` that of
operators of 50 µs and more, `median` the median of the latter, each averaged over cells; `typical sum` and
`typical operator` are the middle cell's. `paced total` and `paced operator` are what would be left if
somebody told, for each cell, the one factor by which its middle operator was missed: a bound for whoever
cannot know how fast this very network happens to run there. Figures are fractions; tables print percent.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.services.traces import read_trace
from predictors.calm_fit import operator_samples
from predictors.graph import Operator
from predictors.learner import Learner, baselines
from predictors.operator_model import OperatorModel, OperatorSample
from predictors.run import PredictorKey, Run
from predictors.transfer import Pool
from tests.accuracy.log_linear import LogLinearBoosted
from tests.traces import traces_directory

LEAST_US = 50.0
LEAST_RATIO = 1e-6
COUNTS = (0, 1, 10, 50)
DRAWS = 3
PACED = ("paced_total", "paced_operator")

Floats = NDArray[np.float64]
ByKey = Mapping[PredictorKey, Sequence[Run]]
Answer = Callable[[PredictorKey, Sequence[Operator]], Floats]
Fit = Callable[[ByKey], Answer]
Where = Callable[[PredictorKey], str]


@dataclass(frozen=True)
class Cell:
    """Errors on one processor's runs of one network."""

    group: str
    key: PredictorKey
    model: str
    total: float
    operator: float
    median: float
    paced_total: float
    paced_operator: float


def by_key(runs: Sequence[Run]) -> dict[PredictorKey, list[Run]]:
    """Return runs by predictor key."""
    groups: dict[PredictorKey, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.query.key].append(run)
    return groups


def kind_of(key: PredictorKey) -> str:
    """Return `cpu` or `gpu`."""
    return "cpu" if is_cpu(key) else "gpu"


def is_cpu(key: PredictorKey) -> bool:
    """Return whether a key is a CPU cluster."""
    return key.processor.startswith("cpu")


def scored(group: str, runs: Sequence[Run], predicted: Mapping[Operator, float]) -> Cell:
    """Score the runs of one network on one processor."""
    measured = np.array([run.latency_us for run in runs])
    latency = np.array([predicted[operator] for operator in runs[0].query.operators])
    total, ratios = _compared(measured, latency)
    pace = float(np.exp(-np.median(np.log(np.maximum(ratios, LEAST_RATIO)))))
    paced_total, paced_ratios = _compared(measured, pace * latency)
    single = np.abs(ratios - 1.0)
    query = runs[0].query
    return Cell(
        group,
        query.key,
        query.model,
        float(total.mean()),
        float(single.mean()),
        float(np.median(single)),
        float(paced_total.mean()),
        float(np.abs(paced_ratios - 1.0).mean()),
    )


def _compared(measured: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Return each run's error of the sum, and predicted over measured of its longer operators.

    `measured` has shape (n_runs, n_operators), `predicted` (n_operators,).
    """
    long = measured >= LEAST_US
    ratios = np.broadcast_to(predicted, measured.shape)[long] / measured[long]
    return np.abs(predicted.sum() / measured.sum(axis=1) - 1.0), ratios


def pooled(known: ByKey) -> Answer:
    """Fit this project's offline models with their siblings' help."""
    samples = {key: operator_samples(runs) for key, runs in known.items()}
    pool = Pool.fit(samples)
    models = {key: OperatorModel.fit(own, siblings=pool.start(key)) for key, own in samples.items()}
    return lambda key, operators: np.exp(models[key].log_latency_us(operators))


def alone(known: ByKey) -> Answer:
    """Fit this project's offline models, each on its processor's own runs only."""
    models = {key: OperatorModel.fit(operator_samples(runs)) for key, runs in known.items()}
    return lambda key, operators: np.exp(models[key].log_latency_us(operators))


def log_linear(known: ByKey) -> Answer:
    """Fit the plain yardstick, one model for all CPUs and one for all GPUs."""
    models = {
        kind: LogLinearBoosted({key: runs for key, runs in known.items() if kind_of(key) == kind})
        for kind in sorted({kind_of(key) for key in known})
    }
    return lambda key, operators: models[kind_of(key)].predict(key, operators)


def baseline(kind: type[Learner]) -> Fit:
    """Return how to fit a published baseline on each processor."""

    def fit(known: ByKey) -> Answer:
        learners = {key: kind() for key in known}
        for key, learner in learners.items():
            learner.fit(known[key])

        def answer(key: PredictorKey, operators: Sequence[Operator]) -> Floats:
            query = replace(known[key][0].query, model="left out", operators=tuple(operators))
            return learners[key].predict(query).operators_us

        return answer

    return fit


def methods() -> dict[str, Fit]:
    """Return every way to predict: ours, and the published baselines that know operators."""
    offline = ("flops_linear", "work_blocks", "forest", "lookup")
    published = {kind.name: baseline(kind) for kind in baselines() if kind.name in offline}
    ours: dict[str, Fit] = {"socast, pooled": pooled, "socast, alone": alone}
    return {**ours, "log-linear, boosted": log_linear, **published}


def everywhere(_key: PredictorKey) -> str:
    """Leave a network out on every processor: what `--unseen` does."""
    return "everywhere"


def on_one_phone(key: PredictorKey) -> str:
    """Leave a network out on one phone; others keep it."""
    return key.soc


def on_one_processor(key: PredictorKey) -> str:
    """Leave a network out on one processor; others of the same phone keep it too."""
    return str(key)


def leave_one_network_out(runs: Sequence[Run], fit: Fit, where: Where = everywhere) -> Iterator[Cell]:
    """Predict each network where it is left out from all that is left."""
    places = sorted({(run.query.model, where(run.query.key)) for run in runs})
    for place in places:
        known = by_key([run for run in runs if (run.query.model, where(run.query.key)) != place])
        left_out = by_key([run for run in runs if (run.query.model, where(run.query.key)) == place])
        kinds = {kind_of(key) for key in left_out}
        answer = fit({key: own for key, own in known.items() if kind_of(key) in kinds})
        for key, own in left_out.items():
            if key not in known:
                continue
            others = len({run.query.model for run in known[key]})
            group = kind_of(key) + ("" if others > 1 else ", thin")
            yield scored(group, own, _answers(answer, key, own))


def leave_one_phone_out(runs: Sequence[Run]) -> Iterator[Cell]:
    """Predict each phone's CPUs from the other phones and a few operator timings of its own."""
    runs = [run for run in runs if is_cpu(run.query.key)]
    for device in sorted({run.query.device_id for run in runs}):
        others = by_key([run for run in runs if run.query.device_id != device])
        pool = Pool.fit({key: operator_samples(known) for key, known in others.items()})
        for key, own in by_key([run for run in runs if run.query.device_id == device]).items():
            for count in COUNTS:
                for seed in range(DRAWS if count else 1):
                    samples = _drawn(own, count, seed)
                    model = OperatorModel.fit(samples, siblings=pool.start(key))
                    for network in by_model(own).values():
                        yield scored(f"{count} samples", network, _answers(_answer_of(model), key, network))


def by_model(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return runs by network."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.query.model].append(run)
    return groups


def _answer_of(model: OperatorModel) -> Answer:
    return lambda _key, operators: np.exp(model.log_latency_us(operators))


def _answers(answer: Answer, key: PredictorKey, runs: Sequence[Run]) -> dict[Operator, float]:
    operators = list(dict.fromkeys(operator for run in runs for operator in run.query.operators))
    return dict(zip(operators, answer(key, operators).tolist(), strict=True))


def _drawn(runs: Sequence[Run], count: int, seed: int) -> list[OperatorSample]:
    """Draw single operator timings at random and average those of the same operator."""
    timings = [
        timing for run in runs for timing in zip(run.query.operators, run.latency_us.tolist(), strict=True)
    ]
    chosen: dict[Operator, list[float]] = defaultdict(list)
    for index in np.random.default_rng(seed).choice(len(timings), count, replace=False):
        operator, latency = timings[index]
        chosen[operator].append(latency)
    return [OperatorSample(operator, float(np.mean(own)), len(own)) for operator, own in chosen.items()]


def print_table(title: str, rows: Mapping[str, Sequence[Cell]]) -> None:
    """Print mean errors in percent, one line for each row and group of cells."""
    table = Table(title=title)
    for name in ("method", "cells"):
        table.add_column(name)
    for name in ("n", "sum", "operator", "median", "typical sum", "typical operator", *PACED):
        table.add_column(name.replace("_", " "), justify="right")
    for name, cells in rows.items():
        for group in sorted({cell.group for cell in cells}, key=lambda text: (len(text), text)):
            own = [cell for cell in cells if cell.group == group]
            figures = [
                np.mean([getattr(cell, part) for cell in own]) for part in ("total", "operator", "median")
            ]
            figures += [np.median([getattr(cell, part) for cell in own]) for part in ("total", "operator")]
            figures += [np.mean([getattr(cell, part) for cell in own]) for part in PACED]
            table.add_row(name, group, str(len(own)), *(f"{100.0 * figure:.1f}" for figure in figures))
    Console(width=120).print(table)


def main() -> None:
    """Print both tables; exit with a message where the trace is not at hand."""
    directory = traces_directory()
    if directory is None:
        raise SystemExit("The traces are not here: set SOCAST_TRACES to the folder that holds them.")
    runs = read_trace(directory / "dev-phones.ndjson.gz").runs
    print_table(
        "One network left out everywhere (percent)",
        {name: list(leave_one_network_out(runs, fit)) for name, fit in methods().items()},
    )
    compared = {"socast, pooled": pooled, "log-linear, boosted": log_linear}
    print_table(
        "One network left out on one phone (percent)",
        {name: list(leave_one_network_out(runs, fit, on_one_phone)) for name, fit in compared.items()},
    )
    print_table(
        "One network left out on one processor (percent)",
        {"socast, pooled": list(leave_one_network_out(runs, pooled, on_one_processor))},
    )
    print_table("One phone left out, CPUs (percent)", {"socast, pooled": list(leave_one_phone_out(runs))})


if __name__ == "__main__":
    main()
