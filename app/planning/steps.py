"""The steps of a search: each unit in its turn, among the tensors that are live before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.planning.candidates import Candidates
from app.planning.problem import Problem
from app.planning.units import Unit


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


def scheduled(problem: Problem, units: Sequence[Unit], candidates: Candidates, *, splits: bool) -> list[Step]:
    """Return the units in their turns, with what is live when: the same for every state."""
    tails = candidates.tail_us
    readers = {tensor: number for number, unit in enumerate(units) for tensor in unit.reads}
    branching = {
        index
        for block in problem.blocks
        if len(block.branches) > 1
        for branch in block.branches
        for index in branch
    }
    steps: list[Step] = []
    live: list[int] = []
    for number, unit in enumerate(units):
        staying = tuple(position for position, tensor in enumerate(live) if readers[tensor] > number)
        reads = tuple((live.index(tensor), tensor) for tensor in unit.reads)
        tail = max((tails[tensor] for tensor in unit.writes), default=0.0)
        kept_tails = tuple(tails[live[position]] for position in staying)
        forked = unit.kernels[-1] in branching
        layouts = candidates.of_unit[number]
        if not forked and splits:
            layouts = candidates.competitive(number)
        elif forked and splits:
            # Branches side by side leave little to gain by splits: one will do.
            layouts = layouts[: sum(layout < len(problem.processors) for layout in layouts) + 1]
        kept_tensors = tuple(live[position] for position in staying)
        ready = problem.models[unit.model].release_us
        steps.append(
            Step(number, unit, reads, staying, kept_tensors, kept_tails, tail, layouts, forked, 0.0, ready)
        )
        live = [*(live[position] for position in staying), *unit.writes]
    team, until = 0.0, 0.0
    for number in range(len(steps) - 1, -1, -1):
        if not steps[number].forked:
            team, until = 0.0, candidates.begin_us(number)
            continue
        steps[number].until_join = team + until
        team += candidates.team_us[number]
    return steps
