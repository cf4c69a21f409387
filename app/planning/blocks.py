"""Where a graph narrows to one kernel, and the parallel branches between such places."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """The kernels after one narrow place up to the next.

    `branches` are the sets of kernels that do not depend on each other, each in order; `join` is the
    kernel at which the block ends. A plain stretch is a block whose only branch is empty.
    """

    branches: tuple[tuple[int, ...], ...]
    join: int


def blocks_of(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> list[Block]:
    """Cut kernels, in order, at every kernel whose results are all that later kernels read.

    `before[i]` are the kernels that kernel `i` waits for, `after[i]` those that wait for it.
    """
    found = []
    begin = 0
    reach = -1
    for index, following in enumerate(after):
        if reach <= index:
            found.append(Block(_components(before, range(begin, index)), index))
            begin = index + 1
        reach = max([reach, *following])
    if begin < len(before):
        inner = range(begin, len(before) - 1)
        found.append(Block(_components(before, inner), len(before) - 1))
    return found


def _components(before: Sequence[Sequence[int]], members: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the connected components of some kernels, in order of their first kernel."""
    parent = {index: index for index in members}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index in members:
        for earlier in before[index]:
            if earlier in parent:
                parent[root(index)] = root(earlier)
    groups: dict[int, list[int]] = {}
    for index in members:
        groups.setdefault(root(index), []).append(index)
    return tuple(tuple(group) for group in groups.values())
