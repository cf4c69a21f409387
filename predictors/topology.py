"""Order of a directed graph."""

import heapq
from collections.abc import Collection, Sequence


def topological_order(before: Sequence[Collection[int]]) -> list[int] | None:
    """Return the topological order that keeps the given one where it can; None where there is a cycle.

    `before[i]` holds the indexes that must come ahead of `i`.
    """
    waiting = [len(earlier) for earlier in before]
    after: list[list[int]] = [[] for _ in before]
    for index, earlier in enumerate(before):
        for other in earlier:
            after[other].append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for follower in after[index]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, follower)
    return order if len(order) == len(before) else None
