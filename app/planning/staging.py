"""From a placement of kernels to the works that run them."""

from collections.abc import Sequence

from app.planning.plan import Draft, Work
from app.planning.problem import Problem
from predictors.topology import topological_order


def sequential(problem: Problem, placement: Sequence[int], order: Sequence[int] | None = None) -> Draft:
    """Return the draft that runs kernels one after the other, neighbours on one processor as one work.

    A work never spans two models.
    """
    works: list[Work] = []
    members: list[int] = []
    current = -1

    def close() -> None:
        after = (len(works) - 1,) if works else ()
        works.append(Work(tuple(members), current, after=after))

    for index in order if order is not None else range(len(problem.kernels)):
        model = problem.kernels[index].model
        if members and (placement[index] != current or problem.kernels[members[0]].model != model):
            close()
            members = []
        current = placement[index]
        members.append(index)
    if members:
        close()
    return Draft(tuple(works))


def parallel(problem: Problem, placement: Sequence[int], order: Sequence[int] | None = None) -> Draft:
    """Return the draft in which processors run side by side as dependencies allow.

    A processor's open work takes in the next kernel unless that would make the work wait for something new
    from another processor, or keep another processor waiting for what the work has already written.
    """
    members: list[list[int]] = []
    processor_of: list[int] = []
    work_of: dict[int, int] = {}
    open_work: dict[int, int] = {}
    known: list[set[int]] = []
    consumed: set[int] = set()
    for index in order if order is not None else range(len(problem.kernels)):
        processor = placement[index]
        model = problem.kernels[index].model
        outside = {
            work_of[earlier] for earlier in problem.kernels[index].before if placement[earlier] != processor
        }
        current = open_work.get(processor)
        seen = known[current] if current is not None else set[int]()
        other = current is not None and problem.kernels[members[current][0]].model != model
        if current is None or other or current in consumed or not outside <= seen:
            current = len(members)
            members.append([])
            processor_of.append(processor)
            known.append(seen | outside)
            open_work[processor] = current
        consumed |= outside
        members[current].append(index)
        work_of[index] = current
    works = [Work(tuple(items), processor_of[place]) for place, items in enumerate(members)]
    return Draft(tuple(works))


def in_order(problem: Problem, works: Sequence[Work]) -> list[Work]:
    """Put works behind those they wait for: one that took in a late kernel may wait for works begun later."""
    ran: dict[int, set[int]] = {}
    for place, work in enumerate(works):
        for index in work.kernels:
            ran.setdefault(index, set()).add(place)
    before: list[set[int]] = []
    last: dict[str, int] = {}
    for place, work in enumerate(works):
        members = set(work.kernels)
        waits = {
            other
            for index in work.kernels
            for earlier in problem.kernels[index].before
            if earlier not in members
            for other in ran[earlier]
        }
        for resource in problem.processors[work.processor].resources:
            if resource in last:
                waits.add(last[resource])
            last[resource] = place
        before.append(waits - {place})
    order = topological_order(before)
    if order is None:
        raise ValueError("works wait for each other in a circle")
    return [works[place] for place in order]
