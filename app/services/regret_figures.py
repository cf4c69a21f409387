"""Figures of one line of the regret report: predictions against measurements, regret, exploring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.services.episodes import FORESEEN, RUNTIME, Episode, predicted_us, would_choose
from app.store.logged import Logged
from predictors.counterfactual import PolicyValue, value_of
from predictors.estimates import LEAST, Estimate, bootstrap, bootstrap_ratio, mean, median, p95
from predictors.regret import split_half
from predictors.scores import LEAST_US

QUANTILES = {"p50": "p50_us", "p90": "p90_us", "p99": "p99_us"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan that a predictor chose in an episode, among one strategy's if that is given."""

    episode: Episode
    plan_id: str
    predictor: str
    strategy: str | None

    def executions(self) -> list[Logged]:
        """Return the executions of the chosen plan."""
        return [item for item in self.episode.executions if item.plan_id == self.plan_id]


@dataclass(frozen=True)
class RegretFigures:
    """Figures of a group; all but counts and `actual_us` are fractions, thin ones have no value.

    `n` counts executions of chosen plans, `compared` episodes with enough repeats to tell regret. `mape` and
    `bias` hold predictions against each execution, `coverage` the share of executions within each predicted
    quantile. `curse` is by how much less chosen plans are overestimated than plans drawn at random.
    `exploring` is what running other plans cost in time over running the chosen one only, and
    `counterfactual` what the choosing policy alone would have measured, `actual_us` what all of them did.
    """

    n: int
    episodes: int
    compared: int
    mape: Estimate
    bias: Estimate
    regret_mean: Estimate
    regret_median: Estimate
    regret_p95: Estimate
    best: Estimate
    coverage: Mapping[str, Estimate]
    bias_random: Estimate
    curse: Estimate
    explored: int
    exploring: Estimate
    counterfactual: PolicyValue
    actual_us: float


def figures(choices: Sequence[Choice]) -> RegretFigures:
    """Return the figures of choices, one an episode and predictor."""
    regrets = [
        found
        for place, choice in enumerate(choices)
        if (found := split_half(choice.episode.latency_us, choice.plan_id, seed=place)) is not None
    ]
    regret = [item.regret for item in regrets]
    chosen = [_errors(choice, choice.executions()) for choice in choices]
    drawn = [_errors(choice, choice.episode.executions) for choice in choices]
    both = [(mine, all_) for mine, all_ in zip(chosen, drawn, strict=True) if mine and all_]
    latencies = [item.latency_us for choice in choices for item in choice.episode.executions]
    return RegretFigures(
        n=sum(len(choice.executions()) for choice in choices),
        episodes=len(choices),
        compared=len(regrets),
        mape=_over(chosen, [abs(error) for item in chosen for error, _ in item]),
        bias=_over(chosen, [error for item in chosen for error, _ in item]),
        regret_mean=bootstrap(regret, mean),
        regret_median=bootstrap(regret, median),
        regret_p95=bootstrap(regret, p95),
        best=bootstrap([item.best for item in regrets], mean),
        coverage={name: _coverage(choices, column) for name, column in QUANTILES.items()},
        bias_random=bootstrap([_weighted(item) for item in drawn if item]),
        curse=bootstrap([_weighted(all_) - _plain(mine) for mine, all_ in both]),
        explored=len(latencies) - sum(len(choice.executions()) for choice in choices),
        exploring=_cost_of_exploring(choices),
        counterfactual=_counterfactual(choices),
        actual_us=float(np.mean(latencies)) if latencies else 0.0,
    )


Errors = list[tuple[float, float]]
"""Relative errors (predicted over measured, minus 1) and one over the chance of what was executed."""


def _errors(choice: Choice, executions: Sequence[Logged]) -> Errors:
    found = []
    for item in executions:
        foreseen = predicted_us(item, item.plan_id, choice.predictor)
        if foreseen is not None:
            error = foreseen / max(item.latency_us, LEAST_US) - 1.0
            found.append((error, 1.0 / (item.propensity or 1.0)))
    return found


def _plain(errors: Errors) -> float:
    return float(np.mean([error for error, _ in errors]))


def _weighted(errors: Errors) -> float:
    """Return the mean error of a plan drawn at random: each execution weighs one over its chance."""
    return float(np.average([error for error, _ in errors], weights=[weight for _, weight in errors]))


def _over(by_episode: Sequence[Errors], values: Sequence[float]) -> Estimate:
    """Return the mean of values of executions, its interval from whole episodes where there are enough."""
    counts = [len(item) for item in by_episode if item]
    if len(counts) < LEAST[mean]:
        return bootstrap(values)
    ends = np.cumsum(counts)
    sums = [float(np.sum(values[end - count : end])) for end, count in zip(ends, counts, strict=True)]
    return bootstrap_ratio(sums, [float(count) for count in counts])


def _coverage(choices: Sequence[Choice], column: str) -> Estimate:
    """Return the share of chosen plans' executions within a quantile; only the runtime rung has any."""
    within = [
        [item.latency_us <= item.forecasts[item.plan_id][column] for item in choice.executions()]
        for choice in choices
        if choice.predictor == RUNTIME and all(item.plan_id in item.forecasts for item in choice.executions())
    ]
    flat = [float(inside) for row in within for inside in row]
    return _over([[(float(inside), 1.0) for inside in row] for row in within], flat)


def _cost_of_exploring(choices: Sequence[Choice]) -> Estimate:
    """Return how much longer all executions took than if each had run its episode's chosen plan."""
    spent, needed = [], []
    for choice in choices:
        mine = [item.latency_us for item in choice.executions()]
        everything = [item.latency_us for item in choice.episode.executions]
        if mine:
            spent.append(sum(everything))
            needed.append(len(everything) * float(np.mean(mine)))
    ratio = bootstrap_ratio(spent, needed)
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return ratio
    return Estimate(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0, ratio.n)


def _counterfactual(choices: Sequence[Choice]) -> PolicyValue:
    """Return what the choosing policy alone would have measured, from executions that told their chance."""
    decided = []
    for choice in choices:
        for item in choice.episode.executions:
            if item.propensity is None:
                continue
            # A predictor known only by what the scheduler told has one choice an episode.
            told_only = choice.predictor not in FORESEEN
            target = choice.plan_id if told_only else would_choose(item, choice.predictor, choice.strategy)
            if target is not None:
                decided.append((item.latency_us, item.propensity, item.plan_id == target))
    columns = list(zip(*decided, strict=True)) or [(), (), ()]
    return value_of(*columns)
