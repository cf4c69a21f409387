"""Executes plans for real, in rounds of shuffled order, so that a change of the machine meets all alike."""

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from app.planning.answered import as_answered
from app.planning.plan import Plan
from collectors.device import Processor
from collectors.errors import PlanError
from collectors.executor.execution import Execution
from collectors.executor.plan_executor import PlanExecutor
from predictors.regret import LEAST_REPEATS

WARM_UPS = 1
"""First executions, which are not measured."""


@dataclass
class Contender:
    """A distinct partition, the plans that amount to it, and its executions in order.

    `starts_us` are the executions' starts in microseconds since the epoch.
    """

    plans: list[Plan]
    executions: list[Execution] = field(default_factory=list)
    starts_us: list[int] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """The first of the plans that amount to this."""
        return self.plans[0]

    @property
    def latencies_us(self) -> list[float]:
        """Measured latencies, round by round."""
        return [execution.latency_us for execution in self.executions]


def partition(plan: Plan) -> str:
    """Return what tells partitions apart, whoever found them and whenever."""
    stages = [(stage.model, stage.operators, stage.processor, stage.split) for stage in plan.stages]
    return hashlib.sha256(msgspec.json.encode(stages)).hexdigest()[:16]


def distinct(plans: Sequence[Plan]) -> list[Contender]:
    """Put plans together that several strategies found; those that change the model cannot be executed."""
    found: dict[str, Contender] = {}
    for plan in plans:
        if not plan.requires_retraining:
            found.setdefault(partition(plan), Contender([])).plans.append(plan)
    return list(found.values())


def inputs_of(executor: PlanExecutor, seed: int = 0) -> list[Mapping[str, Any]]:
    """Return random inputs of all models."""
    rng = np.random.default_rng(seed)
    return [
        {name: rng.random(shape).astype(dtype) for name, (shape, dtype) in inputs.items()}
        for inputs in executor.inputs
    ]


def measure(
    contenders: Sequence[Contender],
    models: Sequence[bytes],
    processors: Sequence[Processor],
    *,
    seconds: float,
    most_rounds: int,
    rng: random.Random,
    least_rounds: int = LEAST_REPEATS + 1,
    needed: int | None = None,
) -> dict[int, str]:
    """Execute contenders in rounds, at least `least_rounds`, then until the time is over.

    The first `needed` (all if none is said) are executed however long it takes; of the others, in order,
    those for which there is time by what their first execution took. The rest keep no executions.
    Returns why a contender cannot be executed, by its place; such a one is left out and measured nothing.
    """
    started = time.monotonic()
    round_s = 0.0
    cores = {processor.name: processor.core for processor in processors}
    impossible: dict[int, str] = {}
    executors: dict[int, PlanExecutor] = {}
    try:
        for place, contender in enumerate(contenders):
            wanted = needed is None or place < needed
            spent_s = time.monotonic() - started
            if not wanted and spent_s + least_rounds * round_s > seconds:
                break
            try:
                executors[place] = PlanExecutor(models, as_answered(contender.plan), cores)
                inputs = inputs_of(executors[place])
                taken_s = max(executors[place].run(inputs).latency_us for _ in range(WARM_UPS)) / 1e6
                spent_s = time.monotonic() - started
                if not wanted and spent_s + least_rounds * (round_s + taken_s) > seconds:
                    executors.pop(place).close()
                else:
                    round_s += taken_s
            except PlanError as error:
                impossible[place] = str(error)
                if place in executors:
                    executors.pop(place).close()
        end = started + seconds
        rounds = 0
        while executors and rounds < most_rounds and (rounds < least_rounds or time.monotonic() < end):
            order = list(executors)
            rng.shuffle(order)
            for place in order:
                started_at_us = time.time_ns() // 1000
                try:
                    execution = executors[place].run(inputs)
                except PlanError as error:  # a core was taken away, for example
                    impossible[place] = str(error)
                    executors.pop(place).close()
                    continue
                contenders[place].starts_us.append(started_at_us)
                contenders[place].executions.append(execution)
            rounds += 1
    finally:
        for executor in executors.values():
            executor.close()
    return impossible
