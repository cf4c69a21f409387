"""What plans cost beyond their kernels on one SoC: kept observations, and what they teach."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.planning.costs import Contention, Transfer, default_dispatch_us, default_transfer
from app.planning.executed import StageObservation
from app.planning.stage_costs import StageCosts, fit_stages
from app.planning.transfer_costs import HandOver, fit_transfer

MOST_HAND_OVERS = 200
"""Newest hand-overs kept of a pair of processors."""

MOST_STAGES = 400
"""Newest executed stages kept of a processor."""

Pair = tuple[str, str]
Basis = Literal["default", "alike", "learned"]


@dataclass(frozen=True, slots=True)
class LearnedTransfer:
    """The cost of hand-overs from one processor to another, and what it rests on.

    `conversion_us_per_byte` is paid inside the stage that reads; `cost` includes it. `basis` says whether `n`
    hand-overs of this pair were measured, `n` of processors of the same kinds, or nothing yet.
    """

    cost: Transfer
    conversion_us_per_byte: float
    basis: Basis
    n: int


@dataclass(frozen=True)
class LearnedCosts:
    """What plans on some processors cost beyond their kernels; `stages` are by processor."""

    transfers: Mapping[Pair, LearnedTransfer]
    stages: Mapping[str, StageCosts]

    def contention(self, processor: str, beside: str) -> Contention:
        """Return how work on one processor slows another."""
        return self.stages[processor].contention.get(beside, Contention())


class CostLearner:
    """The newest observations of one SoC; fits are made when asked for, and anew only where data is new."""

    def __init__(self) -> None:
        self._hand_overs: dict[Pair, deque[HandOver]] = defaultdict(lambda: deque(maxlen=MOST_HAND_OVERS))
        self._stages: dict[str, deque[StageObservation]] = defaultdict(lambda: deque(maxlen=MOST_STAGES))
        self._fitted: dict[tuple[str, ...], tuple[int, Transfer]] = {}
        self._fitted_stages: dict[tuple[str, str], tuple[int, StageCosts]] = {}
        self._added = 0
        self._changed: dict[Pair | str, int] = defaultdict(int)

    def add(self, hand_overs: Sequence[HandOver], stages: Sequence[StageObservation]) -> None:
        """Take in what was measured, oldest first."""
        self._added += 1
        for hand_over in hand_overs:
            self._hand_overs[hand_over.source, hand_over.target].append(hand_over)
            self._changed[hand_over.source, hand_over.target] = self._added
        for stage in stages:
            self._stages[stage.processor].append(stage)
            self._changed[stage.processor] = self._added

    def learned(self, kinds: Mapping[str, str]) -> LearnedCosts:
        """Return what was learned of these processors, given by their kinds."""
        stages = {name: self._stage_costs(name, kind) for name, kind in kinds.items()}
        transfers = {
            (source, target): self._transfer((source, target), kinds, stages[target])
            for source in kinds
            for target in kinds
            if source != target
        }
        return LearnedCosts(transfers, stages)

    def _stage_costs(self, name: str, kind: str) -> StageCosts:
        changed = self._changed[name]
        known = self._fitted_stages.get((name, kind))
        if known is None or known[0] != changed:
            fitted = fit_stages(list(self._stages[name]), default_dispatch_us(kind))
            known = self._fitted_stages[name, kind] = changed, fitted
        return known[1]

    def _transfer(self, pair: Pair, kinds: Mapping[str, str], stages: StageCosts) -> LearnedTransfer:
        """Return a pair's cost: its own hand-overs, held by those alike, held by the default."""
        sides = kinds[pair[0]], kinds[pair[1]]
        alike = [
            other for other in sorted(self._hand_overs) if (kinds.get(other[0]), kinds.get(other[1])) == sides
        ]
        default = default_transfer(*sides)
        general = self._fit(
            ("alike", *sides, *(name for other in alike for name in other)), alike, default, alike
        )
        own = self._fit((*pair, *sides), [pair], general, alike) if pair in self._hand_overs else general
        n = len(self._hand_overs[pair]) if pair in self._hand_overs else 0
        shared = sum(len(self._hand_overs[other]) for other in alike)
        conversion = stages.conversion.get(pair[0], 0.0)
        basis: Basis = "learned" if n else "alike" if shared else "default"
        cost = Transfer(own.latency_us, own.us_per_byte + conversion)
        return LearnedTransfer(cost, conversion, basis, n or shared)

    def _fit(
        self, name: tuple[str, ...], pairs: Sequence[Pair], prior: Transfer, rests_on: Sequence[Pair]
    ) -> Transfer:
        changed = max((self._changed[pair] for pair in rests_on), default=0)
        known = self._fitted.get(name)
        if known is None or known[0] != changed:
            measured = [item for pair in pairs for item in self._hand_overs[pair]]
            known = self._fitted[name] = changed, fit_transfer(measured, prior)
        return known[1]
