"""Beam search over placements, splits and parallelism at once.

Units are placed in the graph's order. A state is what the simulator would hold at that point: when each
processor is free, which work is still open on it, and for each live tensor where it is, when it is there
and where it was copied to. States that agree in all but times are compared and dominated ones dropped,
so that where the graph narrows to one tensor this is dynamic programming; elsewhere the most promising
states are kept. A state that cannot end before the best known plan is dropped too.
"""

from functools import partial
from operator import add, mul
from typing import NamedTuple

from app.planning.candidates import Candidates
from app.planning.effort import Effort
from app.planning.front import Offer, Open, Ran, State, kept
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.staging import in_order
from app.planning.steps import Step, scheduled
from app.planning.transitions import Transitions
from app.planning.units import units

_FORK_WIDTH = 6
"""States kept inside forks, where many placements look alike, per state kept where the graph is narrow."""

_LEAST_WIDTH = 2
"""With one state a unit, a search cannot pay now for what it gains later."""


class _Outlook(NamedTuple):
    """What all that is offered from one state has in common.

    No state ends before `floor`; `load` is all work done and to do; inside forks `share` is the team's time
    until the join, and `waiting` what copying the live tensors to each processor would cost.
    """

    floor: float
    load: float
    share: float
    waiting: list[float] | None


class BeamSearch:
    """One search; `exact` tells whether nothing but dominated or hopeless states was dropped."""

    def __init__(self, problem: Problem, effort: Effort, *, splits: bool, incumbent_us: float) -> None:
        self._problem = problem
        self._effort = effort
        self._count = len(problem.processors)
        self._places = range(self._count)
        self._onwards: dict[tuple[int, int, int], list[float]] = {}
        self._incumbent = incumbent_us
        self._units = units(problem, _unit_limit(effort), splits=splits)
        self._candidates = Candidates(problem, self._units)
        self._steps = scheduled(problem, self._units, self._candidates, splits=splits)
        self._transitions = Transitions(problem, self._candidates)
        self._independent = not (problem.shares.sum() > len(problem.processors))
        self.exact = True

    def run(self, keep: int = 4, width: int = 0) -> list[Draft]:
        """Return the drafts of the best complete states, best first.

        `width` is the number of states kept a unit; 0 takes what the effort pays for.
        """
        width = width or self._width()
        zero = (0.0,) * self._count
        nothing: tuple[Open | None, ...] = (None,) * self._count
        beam = [State(zero, nothing, (), 0.0, None)]
        for step in self._steps:
            offers: list[Offer] = []
            for state in beam:
                self._expand(step, state, offers)
            wanted = width * _FORK_WIDTH if step.forked else width
            beam, truncated = kept(offers, wanted, partial(self._transitions.follow, step))
            self.exact = self.exact and not truncated
            if not self._effort.spend(0):
                width = 1
        return [self._draft(state) for state in beam[:keep]]

    def _width(self) -> int:
        """Return the states kept a unit that the effort pays for."""
        choices = 0
        for step in self._steps:
            layouts = len(step.layouts) + bool(step.unit.parts_us)
            choices += layouts * (_FORK_WIDTH if step.forked else 1)
        return max(_LEAST_WIDTH, self._effort.steps // max(choices, 1))

    def _expand(self, step: Step, state: State, offers: list[Offer]) -> None:
        """Offer all that can be done with the next unit from one state."""
        held, count = state.held, self._count
        layouts = step.layouts
        for position, _ in step.reads:
            written = held[position][0]
            if written >= count and written not in layouts and self._candidates.fits(step.number, written):
                layouts = [*layouts, written]  # go on with the split of what is read
        floor = state.end
        for position, tail in zip(step.kept, step.kept_tails, strict=True):
            floor = max(floor, max(held[position][2]) + tail)
        outlook = self._outlook(step, state, floor)
        for layout in layouts:
            run = self._transitions.whole if layout < count else self._transitions.split
            for ran in run(step, state, layout):
                self._offer(step, state, ran, outlook, offers)

    def _outlook(self, step: Step, state: State, floor: float) -> _Outlook:
        """Return what all that is offered from one state has in common."""
        load = sum(state.free) + self._candidates.left_us[step.number]
        if not step.forked:
            return _Outlook(floor, load, 0.0, None)
        # Other branches have to be done before the join, by whichever processors are left.
        share = sum(map(mul, self._candidates.speed, state.free), step.until_join)
        waiting = [0.0] * self._count
        for position, tensor in zip(step.kept, step.kept_tensors, strict=True):
            written, _, _, mask = state.held[position]
            waiting = list(map(add, waiting, self._onward(tensor, written, mask)))
        return _Outlook(floor, load, share, waiting)

    def _onward(self, tensor: int, written: int, mask: int) -> list[float]:
        """Return what it costs to copy a tensor to each processor that has no copy yet."""
        key = (tensor, written, mask)
        found = self._onwards.get(key)
        if found is None:
            copies = self._candidates.copies
            found = self._onwards[key] = [
                0.0 if mask >> place & 1 else copies(tensor, written, -1, place)[0][0]
                for place in self._places
            ]
        return found

    def _offer(self, step: Step, state: State, ran: Ran, outlook: _Outlook, offers: list[Offer]) -> None:
        """Offer a state unless it cannot end before the best known plan."""
        bound, load, share, waiting = outlook
        ends, free, speed = ran.ends, state.free, self._candidates.speed
        for end, place in zip(ends, self._candidates.sides(ran.layout), strict=True):
            bound = max(bound, end + step.tail)
            more = end - free[place]
            load += more
            share += speed[place] * more
        if self._independent and load > bound * self._count:
            # All that is left has to fit behind what processors already do.
            bound = load / self._count
        if bound >= self._incumbent:
            return
        rank = bound
        if waiting is not None:
            # The join takes in what the branches have written, wherever it runs.
            for tensor in step.unit.writes:
                waiting = list(map(add, waiting, self._onward(tensor, ran.layout, 0)))
            rank = max(bound, share) + min(waiting)
        offers.append((rank, state, ran))

    def _draft(self, state: State) -> Draft:
        """Rebuild the works from a state's trail."""
        steps: list[tuple[int, tuple[int, ...]]] = []
        current = state
        while current.trail is not None:
            current, layout, numbers = current.trail
            steps.append((layout, numbers))
        members: dict[int, list[int]] = {}
        shape: dict[int, tuple[int, Split | None]] = {}
        for unit, (layout, numbers) in zip(self._units, reversed(steps), strict=True):
            placed = self._candidates.layouts[layout]
            for number, (processor, low, high) in zip(numbers, placed.sides, strict=True):
                members.setdefault(number, []).extend(unit.kernels)
                shape[number] = (processor, Split(placed.dimension, low, high) if placed.dimension else None)
        works = [Work(tuple(kernels), *shape[number]) for number, kernels in members.items()]
        return Draft(tuple(in_order(self._problem, works)))


def _unit_limit(effort: Effort) -> int:
    """Return how many units a search can afford to look at with some width."""
    return max(24, effort.steps // 4)
