"""What an agent does when: a calm calibration first, then regimes in random order, processors in turn."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from collectors.device import Processor

CALIBRATION_SHARE = 0.3
"""Share of a bounded session that is calm calibration."""
CALIBRATION_S = 90.0
"""Length of the calibration of an unbounded session, for each processor."""
CALIBRATION_VISIT_S = 3.0
LEAST_CALIBRATION_S = 0.5
LEAST_CALIBRATION_RUNS = 4
"""What every model gets on every processor, even where loading models has eaten up the time."""
SHORTEST_EPISODE_S, LONGEST_EPISODE_S = 2.5, 8.0
MODELS_AT_ONCE = 4
CALM = "s0"


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of runs on one processor in one condition, over a few models.

    It lasts for `seconds`, and longer where a model has not had its `least_runs` by then. `continued` says
    that the next episode goes on with the same models, so that their profiles can wait.
    """

    condition: str
    processor: Processor
    seconds: float
    models: tuple[str, ...]
    calibration: bool = False
    least_runs: int = 1
    continued: bool = False


class FairShare:
    """Picks the models that have had the least time so far, so that slow ones crowd nobody out."""

    def __init__(self, models: Sequence[str], rng: random.Random) -> None:
        self._spent_s = dict.fromkeys(models, 0.0)
        self._rng = rng

    def add(self, model: str) -> None:
        """Let a model in as if it had had the mean of the others' time."""
        self._spent_s[model] = sum(self._spent_s.values()) / max(1, len(self._spent_s))

    def spend(self, model: str, seconds: float) -> None:
        """Book time on a model: its loading counts as well as its runs."""
        if model in self._spent_s:
            self._spent_s[model] += seconds

    def pick(self, count: int) -> tuple[str, ...]:
        """Return the `count` models with the least time, at random among equals."""
        order = sorted(self._spent_s, key=lambda model: (self._spent_s[model], self._rng.random()))
        return tuple(order[:count])

    def drop(self, model: str) -> None:
        """Leave a model out from now on."""
        self._spent_s.pop(model, None)

    def __contains__(self, model: str) -> bool:
        return model in self._spent_s

    def __len__(self) -> int:
        return len(self._spent_s)


def calibration(
    processors: Sequence[Processor], models: Sequence[str], total_s: float, remaining_s: Callable[[], float]
) -> Iterator[Episode]:
    """Calm episodes over every model on every processor, the time that remains shared out equally.

    A long calibration goes round several times, so that a visit stays short and results come in.
    """
    visits = len(models) * len(processors)
    rounds = max(1, round(total_s / (visits * CALIBRATION_VISIT_S)))
    left = rounds * visits
    for _ in range(rounds):
        for model in models:
            for processor in processors:
                yield Episode(
                    condition=CALM,
                    processor=processor,
                    seconds=max(LEAST_CALIBRATION_S, remaining_s() / left),
                    models=(model,),
                    calibration=True,
                    least_runs=LEAST_CALIBRATION_RUNS,
                    continued=processor is not processors[-1],
                )
                left -= 1


def calibration_s(seconds: float | None, processors: Sequence[Processor]) -> float:
    """How long the calibration of a session takes."""
    return CALIBRATION_S * len(processors) if seconds is None else seconds * CALIBRATION_SHARE


def regimes(
    processors: Sequence[Processor],
    conditions: Sequence[str],
    shares: FairShare,
    seconds: float | None,
    rng: random.Random,
) -> Iterator[Episode]:
    """Episodes without end: every condition comes once on every processor in each shuffled round."""
    pairs = [(condition, processor) for condition in conditions for processor in processors]
    longest_s = LONGEST_EPISODE_S
    if seconds is not None:
        longest_s = min(longest_s, max(SHORTEST_EPISODE_S, seconds * (1 - CALIBRATION_SHARE) / len(pairs)))
    while True:
        for condition, processor in rng.sample(pairs, len(pairs)):
            length_s = rng.uniform(0.7, 1.0) * longest_s
            yield Episode(condition, processor, length_s, shares.pick(MODELS_AT_ONCE))
