"""Executions that may be compared: those of one regime, in which plans were run by turns."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from app.store.logged import Logged

GAP_US = 600_000_000
"""Executions further apart than this are not of one regime, unless the scheduler says so."""

RUNTIME, OFFLINE = "runtime", "offline"
FORESEEN = {RUNTIME: "mean_us", OFFLINE: "offline_us"}
"""Predictors whose forecasts are stored with each execution, and where."""


@dataclass(frozen=True)
class Episode:
    """Executions on one device in one regime, in order of their starts; there is at least one."""

    executions: Sequence[Logged]

    @property
    def first(self) -> Logged:
        """The execution that tells device, SoC, model and condition of all."""
        return self.executions[0]

    @cached_property
    def latency_us(self) -> dict[str, list[float]]:
        """Measured latencies by plan, only of plans that keep the model."""
        found: dict[str, list[float]] = defaultdict(list)
        for item in self.executions:
            if not item.forecasts.get(item.plan_id, {}).get("requires_retraining", False):
                found[item.plan_id].append(item.latency_us)
        return dict(found)

    @cached_property
    def strategies(self) -> set[str]:
        """Strategies of the plans that were executed, as far as known."""
        return {
            str(item.forecasts[item.plan_id]["strategy"])
            for item in self.executions
            if item.plan_id in item.forecasts
        }

    @cached_property
    def predictors(self) -> set[str]:
        """Predictors whose choice is known: those that foresaw plans, and those a scheduler told of."""
        told = {name for item in self.executions for name in item.chosen_by}
        foreseen = {RUNTIME, OFFLINE} if any(item.forecasts for item in self.executions) else set()
        return told | foreseen

    def choice(self, predictor: str, strategy: str | None) -> str | None:
        """Return the executed plan that a predictor chose, among those of a strategy if one is given.

        What the scheduler told counts; else it is the plan that was foreseen to be the fastest.
        """
        best: tuple[float, str] | None = None
        for item in self.executions:
            seen = item.forecasts.get(item.plan_id, {})
            if item.plan_id not in self.latency_us or strategy not in (None, seen.get("strategy")):
                continue
            if predictor in item.chosen_by:
                return item.plan_id
            value = predicted_us(item, item.plan_id, predictor)
            if value is not None and (best is None or (value, item.plan_id) < best):
                best = value, item.plan_id
        return None if best is None else best[1]


def predicted_us(item: Logged, plan_id: str, predictor: str) -> float | None:
    """Return what a predictor had foreseen of a plan when an execution was decided, where that is known."""
    name = FORESEEN.get(predictor)
    return None if name is None else item.forecasts.get(plan_id, {}).get(name)


def would_choose(item: Logged, predictor: str, strategy: str | None) -> str | None:
    """Return what a predictor would have chosen of what an execution was chosen among."""
    best: tuple[float, str] | None = None
    for plan_id in {item.plan_id, *item.alternatives}:
        seen = item.forecasts.get(plan_id)
        if seen is None or seen["requires_retraining"] or strategy not in (None, seen["strategy"]):
            continue
        value = predicted_us(item, plan_id, predictor)
        if value is not None and (best is None or (value, plan_id) < best):
            best = value, plan_id
    return None if best is None else best[1]


def episodes(executions: Sequence[Logged]) -> list[Episode]:
    """Return episodes: executions that name one together, or that were chosen among the same plans.

    Without a name, executions on one device, under one label and among one set of plans belong together
    until `GAP_US` pass without any.
    """
    groups: dict[object, list[list[Logged]]] = defaultdict(list)
    for item in executions:
        if item.episode is not None:
            key: object = (item.device_id, item.episode)
        else:
            key = (item.device_id, item.condition, frozenset({item.plan_id, *item.alternatives}))
        runs = groups[key]
        apart = runs and item.episode is None and item.started_at_us - runs[-1][-1].started_at_us > GAP_US
        if not runs or apart:
            runs.append([])
        runs[-1].append(item)
    return [Episode(run) for runs in groups.values() for run in runs]
