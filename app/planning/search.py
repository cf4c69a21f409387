"""Beam search over placements, splits and parallelism at once.

Units are placed in the graph's order. A state is what the simulator would hold at that point: when each
processor is free, which work is still open on it, and for each live tensor where it is, when it is there
and where it was copied to. States that agree in all but times are compared and dominated ones dropped,
so that where the graph narrows to one tensor this is dynamic programming; elsewhere the most promising
states are kept. A state that cannot end before the best known plan is dropped too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.planning.blocks import blocks
from app.planning.candidates import Candidates
from app.planning.effort import Effort
from app.planning.front import Front, Held, Open, State
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension
from app.planning.staging import in_order
from app.planning.units import Unit, units

_FORK_WIDTH = 3
"""States kept inside forks, where many placements look alike, per state kept where the graph is narrow."""


@dataclass(frozen=True, slots=True)
class Step:
    """One unit in its turn, among the tensors that are live before it.

    `reads` are (position among live tensors, tensor), `kept` the positions that stay live; tails are the
    least times from a tensor's being there to the end. `forked` tells that other branches are under way, and
    `until_join` estimates what is then left: the team's time for them, and all that follows the join;
    `layouts` are tried.
    """

    number: int
    unit: Unit
    reads: tuple[tuple[int, int], ...]
    kept: tuple[int, ...]
    kept_tails: tuple[float, ...]
    tail: float
    layouts: list[int]
    forked: bool
    until_join: float


class _Ran(NamedTuple):
    """How a unit ran: its layout, works and their ends.

    `begins` are the starts of the works, `fresh` tells new ones from open ones that go on; `waited` are
    works that it read from, `marks` the tensors that are now copied.
    """

    layout: int
    numbers: tuple[int, ...]
    ends: tuple[float, ...]
    begins: tuple[float, ...]
    fresh: bool
    waited: Sequence[int]
    marks: Sequence[int]


class BeamSearch:
    """One search; `exact` tells whether nothing but dominated or hopeless states was dropped."""

    def __init__(self, problem: Problem, effort: Effort, *, splits: bool, incumbent_us: float) -> None:
        self._problem = problem
        self._effort = effort
        self._incumbent = incumbent_us
        self._units = units(problem, _unit_limit(effort), splits=splits)
        self._sharing = [
            tuple(other for other in range(len(problem.processors)) if problem.shares[place, other])
            for place in range(len(problem.processors))
        ]
        self._candidates = Candidates(problem, self._units)
        self._steps = self._scheduled()
        self._independent = not (problem.shares.sum() > len(problem.processors))
        self.exact = True

    def run(self, keep: int = 4, width: int = 0) -> list[Draft]:
        """Return the drafts of the best complete states, best first.

        `width` is the number of states kept a unit; 0 takes what the effort pays for.
        """
        width = width or self._width()
        zero = (0.0,) * len(self._problem.processors)
        nothing: tuple[Open | None, ...] = (None,) * len(zero)
        beam = [State(zero, nothing, (), 0.0, 0.0, 0.0, None)]
        for step in self._steps:
            front = Front(width * _FORK_WIDTH if step.forked else width, self._incumbent)
            for state in beam:
                self._expand(step, state, front)
            beam = front.best()
            self.exact = self.exact and not front.truncated
            if not self._effort.spend(0):
                width = 1
        return [self._draft(state) for state in beam[:keep]]

    def _scheduled(self) -> list[Step]:
        """Work out what is live when: the same for every state."""
        tails = self._candidates.tail_us
        readers = {tensor: number for number, unit in enumerate(self._units) for tensor in unit.reads}
        branching = {
            index
            for block in blocks(self._problem)
            if len(block.branches) > 1
            for branch in block.branches
            for index in branch
        }
        steps: list[Step] = []
        live: list[int] = []
        for number, unit in enumerate(self._units):
            kept = tuple(position for position, tensor in enumerate(live) if readers[tensor] > number)
            reads = tuple((live.index(tensor), tensor) for tensor in unit.reads)
            tail = max((tails[tensor] for tensor in unit.writes), default=0.0)
            kept_tails = tuple(tails[live[position]] for position in kept)
            forked = unit.kernels[-1] in branching
            layouts = self._candidates.of_unit[number]
            if forked:
                # Branches side by side leave little to gain by splits: one will do.
                layouts = layouts[: sum(layout < len(self._sharing) for layout in layouts) + 1]
            steps.append(Step(number, unit, reads, kept, kept_tails, tail, layouts, forked, 0.0))
            live = [*(live[position] for position in kept), *unit.writes]
        team, until = 0.0, 0.0
        for number in range(len(steps) - 1, -1, -1):
            if not steps[number].forked:
                team, until = 0.0, self._candidates.begin_us(number)
                continue
            steps[number] = replace(steps[number], until_join=team + until)
            team += self._candidates.team_us[number]
        return steps

    def _width(self) -> int:
        """Return the states kept a unit that the effort pays for."""
        choices = 0
        for step in self._steps:
            layouts = len(step.layouts) + bool(step.unit.parts_us)
            choices += layouts * (_FORK_WIDTH if step.forked else 1)
        return max(1, self._effort.steps // max(choices, 1))

    def _expand(self, step: Step, state: State, front: Front) -> None:
        """Put all that can be done with the next unit from one state on the front."""
        held = state.held
        candidates = step.layouts
        for position, _ in step.reads:
            written = held[position][0]
            split = written >= len(self._sharing) and written not in candidates
            if split and self._candidates.fits(step.number, written):
                candidates = [*candidates, written]  # go on with the split of what is read
        floor = state.end
        for position, tail in zip(step.kept, step.kept_tails, strict=True):
            floor = max(floor, max(held[position][2]) + tail)
        for layout in candidates:
            place = self._place_whole if layout < len(self._sharing) else self._place_split
            place(step, state, floor, layout, front)

    def _place_whole(self, step: Step, state: State, floor: float, processor: int, front: Front) -> None:
        """Run a unit on one processor: in its open work where that is possible, and in a new one."""
        held = state.held
        bit = 1 << processor
        copies = 0.0
        ready = self._problem.models[step.unit.model].release_us
        waited: list[int] = []
        marks: list[int] = []
        for position, tensor in step.reads:
            written, works, ends, mask = held[position]
            if written == processor or mask & bit:
                continue
            for source, cost in self._candidates.copies(tensor, written, step.number, processor)[0]:
                copies += cost
                waited.append(works[source])
                ready = max(ready, ends[source])
            marks.append(position)
        time = copies + step.unit.whole_us[processor]
        dispatch = self._problem.costs.dispatch_us[processor]
        free = state.free[processor]
        work = state.open[processor]
        if work is not None and work[2] == processor and work[0] not in waited:
            # Starting the open work later, for what this unit waits for, can be cheaper than a dispatch.
            late = max(0.0, ready - work[1])
            if late <= dispatch:
                ran = _Ran(
                    processor, (work[0],), (free + late + time,), (work[1] + late,), False, waited, marks
                )
                front.add(self._offer(step, state, ran, floor, front))
                if not late and not any(work[0] in held[position][1] for position in step.kept):
                    return  # a new work only pays where others wait for what the open one has written
        begin = max(free, ready)
        ran = _Ran(processor, (2 * step.number,), (begin + dispatch + time,), (begin,), True, waited, marks)
        front.add(self._offer(step, state, ran, floor, front))

    def _place_split(self, step: Step, state: State, floor: float, layout: int, front: Front) -> None:
        """Run a unit in two parts, in new works and, where that is possible, in two open ones."""
        sides, times, dispatch = self._candidates.shape(step.number, layout)
        self._go_on(step, state, floor, layout, front)
        copies = [0.0, 0.0]
        ready = [self._problem.models[step.unit.model].release_us] * 2
        waited: list[int] = []
        for position, tensor in step.reads:
            written, works, finish, mask = state.held[position]
            fetch = self._candidates.copies(tensor, written, step.number, layout)
            for side, processor in enumerate(sides):
                if not mask >> processor & 1:
                    for source, cost in fetch[side]:
                        copies[side] += cost
                        waited.append(works[source])
                        ready[side] = max(ready[side], finish[source])
        begins = tuple(max(state.free[processor], ready[side]) for side, processor in enumerate(sides))
        ends = tuple(begins[side] + dispatch[side] + copies[side] + times[side] for side in (0, 1))
        numbers = (2 * step.number, 2 * step.number + 1)
        child = self._offer(step, state, _Ran(layout, numbers, ends, begins, True, waited, ()), floor, front)
        if child is None:
            return
        if self._candidates.layouts[layout].dimension is Dimension.HEIGHT and not step.unit.halo:
            self._defer(step, state, layout, sides, child)
        front.add(child)

    def _go_on(self, step: Step, state: State, floor: float, layout: int, front: Front) -> None:
        """Let two open parts take in a unit that is cut as theirs."""
        sides, times, _ = self._candidates.shape(step.number, layout)
        current = [state.open[processor] for processor in sides]
        extend, more = self._continues(step, state, layout, current)
        if not extend:
            return
        numbers = tuple(work[0] for work in current if work is not None)
        ends = tuple(
            state.free[processor]
            + times[side]
            + more[side] * (state.free[processor] - work[1])
            + (work[3] + max(0.0, work[4] - work[1]) if more[side] > 0 else 0.0)
            for side, (processor, work) in enumerate(zip(sides, current, strict=True))
            if work is not None
        )
        begins = tuple(
            max(work[1], work[4]) if more[side] > 0 else work[1]
            for side, work in enumerate(current)
            if work is not None
        )
        child = self._offer(step, state, _Ran(layout, numbers, ends, begins, False, (), ()), floor, front)
        if child is not None and more[0] <= 0:
            # What the works must fetch for rows beyond their own is still ahead of them.
            child.open = tuple(
                (*work[:3], *before[3:])
                if work is not None and before is not None and work[0] in numbers
                else work
                for work, before in zip(child.open, state.open, strict=True)
            )
        front.add(child)

    def _defer(self, step: Step, state: State, layout: int, sides: tuple[int, ...], child: State) -> None:
        """Note what the new works must fetch as soon as they compute any row beyond their own."""
        opened = list(child.open)
        for side, processor in enumerate(sides):
            cost, ready = 0.0, 0.0
            for position, tensor in step.reads:
                written, _, finish, mask = state.held[position]
                if mask >> processor & 1:
                    continue
                for source, copy in self._candidates.edges(tensor, written, layout)[side]:
                    cost += copy
                    ready = max(ready, finish[source])
            work = opened[processor]
            if work is not None:
                opened[processor] = (work[0], work[1], work[2], cost, ready)
        child.open = tuple(opened)

    def _continues(
        self, step: Step, state: State, layout: int, current: Sequence[Open | None]
    ) -> tuple[bool, tuple[float, ...]]:
        """Tell whether two open works can take in a unit split as theirs, and what more they recompute."""
        shape = self._candidates.layouts[layout]
        if not step.reads or any(work is None or work[2] != layout for work in current):
            return False, ()
        numbers = tuple(work[0] for work in current if work is not None)
        for position, _ in step.reads:
            if state.held[position][0] != layout or state.held[position][1] != numbers:
                return False, ()
        if shape.dimension is Dimension.CHANNELS:
            return not step.unit.mixes, (0.0, 0.0)
        return True, tuple(step.unit.halo / 2 / (high - low) for _, low, high in shape.sides)

    def _offer(self, step: Step, state: State, ran: _Ran, floor: float, front: Front) -> State | None:
        """Put the state after a unit ran on the front where it may still be among the best."""
        bound = max(floor, *(end + step.tail for end in ran.ends))
        rank = bound
        if step.forked:
            # Other branches have to be done before the join, by whichever processors are left.
            speed = self._candidates.speed
            share = sum(speed[place] * free for place, free in enumerate(state.free))
            for end, (place, _, _) in zip(ran.ends, self._candidates.layouts[ran.layout].sides, strict=True):
                share += speed[place] * (end - state.free[place])
            rank = max(bound, share + step.until_join)
        if not front.admits(bound, rank):
            return None
        child = self._child(step, state, ran, bound)
        child.rank = rank
        if self._independent:
            # All that is left has to fit behind what processors already do.
            load = (sum(child.free) + self._candidates.left_us[step.number]) / len(child.free)
            child.bound = max(bound, load)
            child.rank = max(rank, load)
        return child

    def _child(self, step: Step, state: State, ran: _Ran, bound: float) -> State:
        """Return the state after a unit ran."""
        layout, numbers, ends, begins, fresh, waited, marks = ran
        free = list(state.free)
        opened = list(state.open)
        if waited:
            for processor, current in enumerate(opened):
                if current is not None and current[0] in waited:
                    opened[processor] = None
        sides = self._candidates.shape(step.number, layout)[0]
        for side, processor in enumerate(sides):
            for other in self._sharing[processor]:
                free[other] = max(free[other], ends[side])
                opened[other] = None
            free[processor] = ends[side]
            opened[processor] = (numbers[side], begins[side], layout, 0.0, 0.0)
        held: list[Held] = []
        for position in step.kept:
            entry = state.held[position]
            if not fresh and entry[1][0] in numbers:
                entry = (entry[0], entry[1], ends, entry[3])
            if position in marks:
                entry = (entry[0], entry[1], entry[2], entry[3] | 1 << layout)
            held.append(entry)
        held += [(layout, numbers, ends, 0)] * len(step.unit.writes)
        end = max(state.end, *ends)
        trail = (state, layout, numbers)
        return State(tuple(free), tuple(opened), tuple(held), end, bound, bound, trail)

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
    return max(24, effort.steps // 8)
