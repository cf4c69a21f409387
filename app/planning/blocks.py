"""Where a graph narrows to one kernel, and the parallel branches between such places."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.planning.problem import Problem


@dataclass(frozen=True, slots=True)
class Block:
    """The kernels after one narrow place up to the next.

    `branches` are the sets of kernels that do not depend on each other, each in order; `join` is the
    kernel at which the block ends. A plain stretch is a block whose only branch is empty.
    """

    branches: tuple[tuple[int, ...], ...]
    join: int


def blocks(problem: Problem) -> list[Block]:
    """Cut the kernels, in order, at every kernel whose results are all that later kernels read."""
    found = []
    begin = 0
    reach = -1
    for kernel in problem.kernels:
        index = kernel.index
        if reach <= index:
            found.append(Block(_components(problem, range(begin, index)), index))
            begin = index + 1
        reach = max([reach, *problem.after[index]])
    if begin < len(problem.kernels):
        inner = range(begin, len(problem.kernels) - 1)
        found.append(Block(_components(problem, inner), len(problem.kernels) - 1))
    return found


def _components(problem: Problem, members: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the connected components of some kernels, in order of their first kernel."""
    parent = {index: index for index in members}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index in members:
        for earlier in problem.kernels[index].before:
            if earlier in parent:
                parent[root(index)] = root(earlier)
    groups: dict[int, list[int]] = {}
    for index in members:
        groups.setdefault(root(index), []).append(index)
    return tuple(tuple(group) for group in groups.values())
