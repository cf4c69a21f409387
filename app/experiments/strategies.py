"""Every strategy × model × condition: predicted, measured, regret; a static plan against re-planning.

First an agent measures while conditions come and go, and the service learns from it. Then cells: a condition
is made, agents' runs tell how the machine stands, each predictor proposes plans in ignorance of any
measurement of them, and all are executed in turns.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from app.experiments import regimes
from app.experiments.cells import CHOOSERS, Cell, Measured, first, processors_of, shortlisted
from app.experiments.experiment import Bench, Options, Outcome
from app.experiments.interleaved import Contender, distinct, measure, partition
from app.experiments.statistics import summary
from app.experiments.strategies_page import pictures, text
from app.experiments.training import learn, train
from app.planning.plan import Plan
from collectors.device import Processor
from collectors.executor.outcome import outcome
from collectors.load import applied
from collectors.measurement import TransferMeasurement
from collectors.models import ModelFile
from collectors.sensors import Context
from predictors.forecast import Rung
from predictors.regret import LEAST_REPEATS

TRAINING_SHARE = 0.3
MOST_TRAINING_S = 600.0
PRACTICE_S = 3.0
SOUNDING_S = 0.25
LEAST_CELL_S, MOST_CELL_S = 4.0, 20.0
ROUNDS = LEAST_REPEATS + 1
MOST_ROUNDS = 30


@dataclass(frozen=True)
class _Task:
    condition: str
    file: ModelFile
    processor: Processor


def run(options: Options) -> Outcome:
    """Run or go on with the experiment in a folder."""
    with Bench.opened("strategies", options) as bench:
        train(bench, min(TRAINING_SHARE * options.seconds, MOST_TRAINING_S))
        _practise(bench)
        _fill(bench)
        found = cells(bench)
        bench.table("measurements", [row for cell in found for row in cell.rows()])
        return bench.finish(summary(found), text, pictures(found), raw="measurements")


def cells(bench: Bench) -> list[Cell]:
    """Return what was measured so far."""
    return [Cell.from_json(step["cell"]) for step in bench.journal.all("cell")]


def _practise(bench: Bench) -> None:
    """Execute plans of the smallest model once, whose outcomes teach what stages and hand-overs cost."""
    if not bench.journal.all("practised"):
        bench.told.say("practice: executing plans of another model")
        file = bench.files[0]
        _execute(bench, _Task("s0", file, bench.processors[0]), PRACTICE_S, number=-1, executed=set())
        bench.journal.put("practised")


def _fill(bench: Bench) -> None:
    """Measure cells until the time is over."""
    tasks = list(_schedule(bench))
    for number in range(len(bench.journal.all("cell")), len(tasks)):
        left_s = bench.left_s
        open_tasks = _round_left(number, len(bench.evaluated))
        if left_s < LEAST_CELL_S and number:
            return
        seconds = min(max(left_s / open_tasks, LEAST_CELL_S), MOST_CELL_S)
        task = tasks[number]
        bench.told.say(f"{task.condition} on {task.processor.name}: plans of {task.file.identity.name}")
        _measure(bench, number, task, seconds)


def fill(bench: Bench, number: int, condition: str, seconds: float) -> None:
    """Measure one cell of the first model in a condition."""
    processor = bench.processors[number % len(bench.processors)]
    _measure(bench, number, _Task(condition, bench.evaluated[0], processor), seconds)


def _measure(bench: Bench, number: int, task: _Task, seconds: float) -> None:
    executed = {name for step in bench.journal.all("cell") for name in step["executed"]}
    cell, new = _execute(bench, task, seconds - OVERHEAD_S, number=number, executed=executed)
    bench.journal.put("cell", cell=msgspec.to_builtins(cell), executed=sorted(new))
    learn(bench.lab, 0.3 * seconds)


OVERHEAD_S = 2.0
"""What a cell takes besides executions: soundings and planning."""
MOST_CELLS = 2_000


def _schedule(bench: Bench) -> Iterator[_Task]:
    """Yield rounds of all conditions and models; the first goes through the conditions in order."""
    rng = random.Random(bench.options.seed)
    files = bench.evaluated
    place = 0
    while place < MOST_CELLS:
        conditions = list(regimes.CONDITIONS)
        if place:
            rng.shuffle(conditions)
        for turn in range(len(files)):
            for column, condition in enumerate(conditions):
                file = files[(turn + column) % len(files)]
                processor = bench.processors[place % len(bench.processors)]
                yield _Task(condition, file, processor)
                place += 1


def _round_left(number: int, models: int) -> int:
    """Return how many cells are left of a round of all conditions and models."""
    size = len(regimes.CONDITIONS) * models
    return size - number % size


def _execute(
    bench: Bench, task: _Task, seconds: float, *, number: int, executed: set[str]
) -> tuple[Cell, set[str]]:
    """Make a condition, let everybody choose, execute; return the cell and partitions executed first here."""
    cores = [processor.core for processor in bench.processors]
    regime = regimes.fullest(task.condition, task.processor.core, cores)
    with applied(regime, bench.longest_s(seconds)) as load:
        contexts = bench.soundings.sound(task.condition, SOUNDING_S)
        bench.lab.take(bench.soundings.spool)
        digest = task.file.identity.digest
        proposals = {rung: bench.lab.plan([digest], contexts, rung) for rung in CHOOSERS}
        contenders = distinct([plan for rung in CHOOSERS for plan in proposals[rung]])
        kept, needed = shortlisted(proposals, contenders, seconds, ROUNDS)
        rng = random.Random(f"{bench.options.seed} {number}")
        failed = measure(
            kept,
            [task.file.path.read_bytes()],
            bench.processors,
            seconds=seconds,
            most_rounds=MOST_ROUNDS,
            rng=rng,
            needed=needed,
        )
    chosen = {rung: first(proposals[rung]) for rung in CHOOSERS}
    done = [item for place, item in enumerate(kept) if place not in failed and item.executions]
    found = [_measured(item, proposals, chosen, executed) for item in done]
    _report(bench, task, done, chosen, contexts)
    cell = Cell(
        number=number,
        condition=task.condition,
        model=task.file.identity.name,
        processor=task.processor.name,
        load=load,
        measured=tuple(found),
        failed={kept[place].plan.plan_id: reason for place, reason in failed.items()},
    )
    return cell, {partition(item.plan) for item in done} - executed


def _measured(
    item: Contender,
    proposals: dict[Rung, Sequence[Plan]],
    chosen: dict[Rung, Plan | None],
    executed: set[str],
) -> Measured:
    own = {plan.plan_id for plan in item.plans}
    return Measured(
        plan_id=item.plan.plan_id,
        strategies=tuple(sorted({plan.strategy for plan in item.plans})),
        granularity=item.plan.granularity,
        processors=processors_of(item.plan),
        predicted_us={
            rung.value: plan.latency_us.mean
            for rung, plans in proposals.items()
            for plan in plans
            if plan.plan_id in own
        },
        chosen_by=tuple(
            rung.value for rung, plan in chosen.items() if plan is not None and plan.plan_id in own
        ),
        novel=partition(item.plan) not in executed,
        latency_us=tuple(item.latencies_us),
        started_at_us=tuple(item.starts_us),
    )


def _report(
    bench: Bench,
    task: _Task,
    measured: Sequence[Contender],
    chosen: dict[Rung, Plan | None],
    contexts: dict[str, Context],
) -> None:
    """Send outcomes and hand-overs to the service, as an executor in the field does."""
    names = [item.plan.plan_id for item in measured]
    transfers = []
    for item in measured:
        own = {plan.plan_id for plan in item.plans}
        labels = [rung.value for rung, plan in chosen.items() if plan is not None and plan.plan_id in own]
        context = contexts[item.plan.stages[0].processor]
        outcomes = [
            outcome(
                execution,
                started_at_us,
                context,
                propensity=1.0 / len(names),
                alternatives=names,
                condition=task.condition,
                episode=f"{bench.journal.folder.name} {item.starts_us[0]}",
                chosen_by=labels,
            )
            for execution, started_at_us in zip(item.executions, item.starts_us, strict=True)
        ]
        bench.lab.report(item.plan.plan_id, outcomes)
        transfers += [
            TransferMeasurement(
                started_at_us, hand.source, hand.target, hand.size_bytes, hand.latency_us, context
            )
            for execution, started_at_us in zip(item.executions, item.starts_us, strict=True)
            for hand in execution.hand_overs
        ]
    bench.soundings.put_transfers(transfers)
    bench.lab.take(bench.soundings.spool)
