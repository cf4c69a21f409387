"""Beam search over placements, splits and parallelism at once.

Units are placed in the graph's order. A state is what the simulator would hold at that point: when each
processor is free, which work is still open on it, and for each live tensor where it is, when it is there
and where it was copied to. States that agree in all but times are compared and dominated ones dropped,
so that where the graph narrows to one tensor this is dynamic programming; elsewhere the most promising
states are kept. A state that cannot end before the best known plan is dropped too.
"""

from dataclasses import dataclass
from functools import partial
from operator import add, mul
from typing import NamedTuple

from app.planning.candidates import Candidates
from app.planning.effort import Effort
from app.planning.front import Held, Offer, Open, Ran, State, kept
from app.planning.plan import Draft, Split, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension
from app.planning.staging import in_order
from app.planning.units import Unit, units

_FORK_WIDTH = 6
"""States kept inside forks, where many placements look alike, per state kept where the graph is narrow."""


_LEAST_WIDTH = 2
"""With one state a unit, a search cannot pay now for what it gains later."""


@dataclass(slots=True)
class Step:
    """One unit in its turn, among the tensors that are live before it.

    `reads` are (position among live tensors, tensor), `kept` the positions of those that stay live and
    `kept_tensors` which they are; tails are the least times from a tensor's being there to the end.
    `layouts` are tried. `forked` tells that other branches are under way, and `until_join` estimates what
    is then left: the team's time for them, and all that follows the join.
    """

    number: int
    unit: Unit
    reads: tuple[tuple[int, int], ...]
    kept: tuple[int, ...]
    kept_tensors: tuple[int, ...]
    kept_tails: tuple[float, ...]
    tail: float
    layouts: list[int]
    forked: bool
    until_join: float
    release_us: float


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
        self._dispatch = problem.costs.dispatch_us
        self._onwards: dict[tuple[int, int, int], list[float]] = {}
        self._incumbent = incumbent_us
        self._units = units(problem, _unit_limit(effort), splits=splits)
        self._sharing = [
            tuple(other for other in range(len(problem.processors)) if problem.shares[place, other])
            for place in range(len(problem.processors))
        ]
        self._candidates = Candidates(problem, self._units)
        self._steps = self._scheduled(splits=splits)
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
            beam, truncated = kept(offers, wanted, partial(self._child, step))
            self.exact = self.exact and not truncated
            if not self._effort.spend(0):
                width = 1
        return [self._draft(state) for state in beam[:keep]]

    def _scheduled(self, *, splits: bool) -> list[Step]:
        """Work out what is live when: the same for every state."""
        tails = self._candidates.tail_us
        readers = {tensor: number for number, unit in enumerate(self._units) for tensor in unit.reads}
        branching = {
            index
            for block in self._problem.blocks
            if len(block.branches) > 1
            for branch in block.branches
            for index in branch
        }
        steps: list[Step] = []
        live: list[int] = []
        for number, unit in enumerate(self._units):
            staying = tuple(position for position, tensor in enumerate(live) if readers[tensor] > number)
            reads = tuple((live.index(tensor), tensor) for tensor in unit.reads)
            tail = max((tails[tensor] for tensor in unit.writes), default=0.0)
            kept_tails = tuple(tails[live[position]] for position in staying)
            forked = unit.kernels[-1] in branching
            layouts = self._candidates.of_unit[number]
            if not forked and splits:
                layouts = self._candidates.competitive(number)
            elif forked and splits:
                # Branches side by side leave little to gain by splits: one will do.
                layouts = layouts[: sum(layout < len(self._sharing) for layout in layouts) + 1]
            kept_tensors = tuple(live[position] for position in staying)
            ready = self._problem.models[unit.model].release_us
            steps.append(
                Step(
                    number, unit, reads, staying, kept_tensors, kept_tails, tail, layouts, forked, 0.0, ready
                )
            )
            live = [*(live[position] for position in staying), *unit.writes]
        team, until = 0.0, 0.0
        for number in range(len(steps) - 1, -1, -1):
            if not steps[number].forked:
                team, until = 0.0, self._candidates.begin_us(number)
                continue
            steps[number].until_join = team + until
            team += self._candidates.team_us[number]
        return steps

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
            if layout < count:
                self._place_whole(step, state, layout, outlook, offers)
            else:
                self._place_split(step, state, layout, outlook, offers)

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

    def _place_whole(
        self, step: Step, state: State, processor: int, outlook: _Outlook, offers: list[Offer]
    ) -> None:
        """Run a unit on one processor: in its open work where that is possible, and in a new one."""
        bit = 1 << processor
        time = step.unit.whole_us[processor]
        ready = step.release_us
        waited: list[int] = []
        marks: list[int] = []
        for position, tensor in step.reads:
            written, works, ends, mask = state.held[position]
            if written == processor or mask & bit:
                continue
            cost, sources = self._candidates.copies(tensor, written, -1, processor)[0]
            time += cost
            for source in sources:
                waited.append(works[source])
                ready = max(ready, ends[source])
            marks.append(position)
        dispatch = self._dispatch[processor]
        free = state.free[processor]
        work = state.open[processor]
        if work is not None and work[2] == processor and work[0] not in waited:
            # Starting the open work later, for what this unit waits for, can be cheaper than a dispatch.
            late = max(0.0, ready - work[1])
            if late <= dispatch:
                ends, begins = (free + late + time,), (work[1] + late,)
                ran = Ran(processor, (work[0],), ends, begins, False, waited, marks)
                self._offer(step, state, ran, outlook, offers)
                if not late and not any(work[0] in state.held[position][1] for position in step.kept):
                    return  # a new work only pays where others wait for what the open one has written
        begin = max(free, ready)
        ran = Ran(processor, (2 * step.number,), (begin + dispatch + time,), (begin,), True, waited, marks)
        self._offer(step, state, ran, outlook, offers)

    def _place_split(
        self, step: Step, state: State, layout: int, outlook: _Outlook, offers: list[Offer]
    ) -> None:
        """Run a unit in two parts, in new works and, where that is possible, in two open ones."""
        sides, times, dispatch = self._candidates.shape(step.number, layout)
        self._go_on(step, state, layout, outlook, offers)
        (one, other), (first_us, second_us) = sides, times
        ready_one = ready_other = step.release_us
        waited: list[int] = []
        for position, tensor in step.reads:
            written, works, finish, mask = state.held[position]
            (cost, sources), (far_cost, far_sources) = self._candidates.copies(
                tensor, written, step.number, layout
            )
            if not mask >> one & 1:
                first_us += cost
                for source in sources:
                    waited.append(works[source])
                    ready_one = max(ready_one, finish[source])
            if not mask >> other & 1:
                second_us += far_cost
                for source in far_sources:
                    waited.append(works[source])
                    ready_other = max(ready_other, finish[source])
        begins = (max(state.free[one], ready_one), max(state.free[other], ready_other))
        ends = (begins[0] + dispatch[0] + first_us, begins[1] + dispatch[1] + second_us)
        numbers = (2 * step.number, 2 * step.number + 1)
        by_height = self._candidates.layouts[layout].dimension is Dimension.HEIGHT
        ran = Ran(layout, numbers, ends, begins, True, waited, defers=by_height and not step.unit.halo)
        self._offer(step, state, ran, outlook, offers)

    def _go_on(self, step: Step, state: State, layout: int, outlook: _Outlook, offers: list[Offer]) -> None:
        """Let two open parts take in a unit that is cut as theirs."""
        sides, times, _ = self._candidates.shape(step.number, layout)
        first, second = state.open[sides[0]], state.open[sides[1]]
        if first is None or second is None or first[2] != layout or second[2] != layout:
            return
        more = self._continues(step, state, layout, (first[0], second[0]))
        if more is None:
            return
        begins, ends = [], []
        for side, work in enumerate((first, second)):
            free = state.free[sides[side]]
            if more[side] > 0:
                late = max(0.0, work[4] - work[1])
                begins.append(work[1] + late)
                ends.append(free + times[side] + more[side] * (free - work[1]) + work[3] + late)
            else:
                begins.append(work[1])
                ends.append(free + times[side])
        # What the works must fetch for rows beyond their own is still ahead of them.
        numbers = (first[0], second[0])
        ran = Ran(layout, numbers, tuple(ends), tuple(begins), False, deferred=more[0] <= 0)
        self._offer(step, state, ran, outlook, offers)

    def _continues(
        self, step: Step, state: State, layout: int, numbers: tuple[int, int]
    ) -> tuple[float, ...] | None:
        """Return what more two open works recompute if they take in a unit; None if they cannot."""
        if not step.reads:
            return None
        for position, _ in step.reads:
            if state.held[position][0] != layout or state.held[position][1] != numbers:
                return None
        shape = self._candidates.layouts[layout]
        if shape.dimension is Dimension.CHANNELS:
            return None if step.unit.mixes else (0.0, 0.0)
        return tuple(step.unit.halo / 2 / (high - low) for _, low, high in shape.sides)

    def _child(self, step: Step, state: State, ran: Ran) -> State:
        """Return the state after a unit ran."""
        layout, numbers = ran.layout, ran.numbers
        free = list(state.free)
        opened = list(state.open)
        if ran.waited:
            for processor, current in enumerate(opened):
                if current is not None and current[0] in ran.waited:
                    opened[processor] = None
        for side, processor in enumerate(self._candidates.sides(layout)):
            for other in self._sharing[processor]:
                free[other] = max(free[other], ran.ends[side])
                opened[other] = None
            free[processor] = ran.ends[side]
            before = state.open[processor]
            if ran.defers:
                ahead = self._deferred(step, state, layout, side, processor)
            elif ran.deferred and before is not None:
                ahead = before[3:]
            else:
                ahead = (0.0, 0.0)
            opened[processor] = (numbers[side], ran.begins[side], layout, *ahead)
        held: list[Held] = []
        for position in step.kept:
            entry = state.held[position]
            if not ran.fresh and entry[1][0] in numbers:
                entry = (entry[0], entry[1], ran.ends, entry[3])
            if position in ran.marks:
                entry = (entry[0], entry[1], entry[2], entry[3] | 1 << layout)
            held.append(entry)
        held += [(layout, numbers, ran.ends, 0)] * len(step.unit.writes)
        end = max(state.end, *ran.ends)
        return State(tuple(free), tuple(opened), tuple(held), end, (state, layout, numbers))

    def _deferred(
        self, step: Step, state: State, layout: int, side: int, processor: int
    ) -> tuple[float, float]:
        """Return what a new work must fetch, and from when on, once it computes any row beyond its own."""
        cost, ready = 0.0, 0.0
        for position, tensor in step.reads:
            written, _, finish, mask = state.held[position]
            if mask >> processor & 1:
                continue
            copy, sources = self._candidates.edges(tensor, written, layout)[side]
            cost += copy
            ready = max([ready, *(finish[source] for source in sources)])
        return cost, ready

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
