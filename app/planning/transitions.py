"""How the next unit can run from a state of a search, and the state that follows."""

from app.planning.candidates import Candidates
from app.planning.front import Held, Ran, State
from app.planning.problem import Problem
from app.planning.splitting import Dimension
from app.planning.steps import Step


class Transitions:
    """What the simulator would do with a unit in a layout, one unit at a time."""

    def __init__(self, problem: Problem, candidates: Candidates) -> None:
        self._candidates = candidates
        self._dispatch = problem.costs.dispatch_us
        processors = range(len(problem.processors))
        self._sharing = [
            tuple(other for other in processors if problem.shares[place, other]) for place in processors
        ]

    def whole(self, step: Step, state: State, processor: int) -> list[Ran]:
        """Return how a unit can run on one processor: in its open work where possible, and in a new one."""
        ways: list[Ran] = []
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
                ways.append(Ran(processor, (work[0],), ends, begins, False, waited, marks))
                if not late and not any(work[0] in state.held[position][1] for position in step.kept):
                    return ways  # a new work only pays where others wait for what the open one has written
        begin = max(free, ready)
        ways.append(
            Ran(processor, (2 * step.number,), (begin + dispatch + time,), (begin,), True, waited, marks)
        )
        return ways

    def split(self, step: Step, state: State, layout: int) -> list[Ran]:
        """Return how a unit can run in two parts: in two open works where possible, and in new ones."""
        sides, times, dispatch = self._candidates.shape(step.number, layout)
        ways = self._go_on(step, state, layout)
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
        defers = by_height and not step.unit.halo
        return [*ways, Ran(layout, numbers, ends, begins, True, waited, defers=defers)]

    def _go_on(self, step: Step, state: State, layout: int) -> list[Ran]:
        """Return how two open parts take in a unit that is cut as theirs, where they can."""
        sides, times, _ = self._candidates.shape(step.number, layout)
        first, second = state.open[sides[0]], state.open[sides[1]]
        if first is None or second is None or first[2] != layout or second[2] != layout:
            return []
        more = self._continues(step, state, layout, (first[0], second[0]))
        if more is None:
            return []
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
        return [Ran(layout, numbers, tuple(ends), tuple(begins), False, deferred=more[0] <= 0)]

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

    def follow(self, step: Step, state: State, ran: Ran) -> State:
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
