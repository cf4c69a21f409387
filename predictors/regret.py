"""Regret of a chosen plan, without the bias of naming a winner and scoring it on the same measurements.

The least of several noisy measurements is less than the least true latency, so that a chosen plan compared
with it always seems to lose. Here the repeats of an episode are split in halves: one half names the best
alternative, the other one scores both it and the chosen plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predictors.scores import LEAST_US

LEAST_REPEATS = 7
"""Executions of every compared plan in an episode; with fewer, halves say nothing."""

SPLITS = 25
"""Random halvings of an episode; each serves in both directions."""


@dataclass(frozen=True, slots=True)
class EpisodeRegret:
    """What choosing a plan cost in one episode.

    `regret` is the chosen plan's latency over that of the best measured alternative, minus 1; it may come
    out negative by chance. `best` is the share of halvings (0 to 1) in which the chosen plan was the best.
    """

    regret: float
    best: float


def split_half(
    latency_us: Mapping[str, Sequence[float]], chosen: str, *, seed: int = 0
) -> EpisodeRegret | None:
    """Return the regret of one episode's chosen plan, None where it or all others ran too rarely.

    `latency_us` holds the measured latencies of each plan in the order of its executions, which were
    interleaved: the i-th ones of all plans form a round, and halves are made of whole rounds. A plan's
    latency in a half is its median there, so that one preempted execution decides nothing. Halvings are
    averaged as logarithms of ratios: a mean of ratios of equals is more than 1.
    """
    kept = {name: values for name, values in latency_us.items() if len(values) >= LEAST_REPEATS}
    if chosen not in kept or len(kept) < 2:
        return None
    names = list(kept)
    rounds = min(map(len, kept.values()))
    table = np.array([list(kept[name][:rounds]) for name in names], dtype=np.float64)
    mine = names.index(chosen)
    generator = np.random.default_rng(seed)
    ratios: list[float] = []
    wins = 0
    for _ in range(SPLITS):
        order = generator.permutation(rounds)
        halves = (order[: rounds // 2], order[rounds // 2 :])
        for pick, score in (halves, halves[::-1]):
            best = int(np.argmin(np.median(table[:, pick], axis=1)))
            scored = np.maximum(np.median(table[:, score], axis=1), LEAST_US)
            ratios.append(float(np.log(scored[mine] / scored[best])))
            wins += best == mine
    return EpisodeRegret(float(np.expm1(np.mean(ratios))), wins / len(ratios))
