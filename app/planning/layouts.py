"""Where a tensor is: whole on one processor, or in two parts on two of them."""

from dataclasses import dataclass

from app.planning.costs import CostTable
from app.planning.splitting import Dimension


@dataclass(frozen=True, slots=True)
class Layout:
    """One placement of a unit and so of what it writes: `sides` are (processor, low, high)."""

    dimension: Dimension | None
    sides: tuple[tuple[int, float, float], ...]


def whole(processor: int) -> Layout:
    """Return the layout on one processor."""
    return Layout(None, ((processor, 0.0, 1.0),))


def split(dimension: Dimension, pair: tuple[int, int], ratio: float) -> Layout:
    """Return the layout over two processors, the first with `ratio`."""
    return Layout(dimension, ((pair[0], 0.0, ratio), (pair[1], ratio, 1.0)))


Fetch = tuple[float, tuple[int, ...]]
"""What one side of a reader pays for copies, in microseconds, and the sides of the tensor they come from."""


def fetches(
    written: Layout, wanted: Layout, size_bytes: float, halo: float, costs: CostTable, *, mixes: bool
) -> tuple[Fetch, ...]:
    """Return, for each side of a reader in layout `wanted`, what it copies of a tensor."""
    if written.dimension is wanted.dimension is None:
        source, target = written.sides[0][0], wanted.sides[0][0]
        if source == target:
            return ((0.0, ()),)
        return ((costs.transfer[source][target].cost_us(size_bytes), (0,)),)
    found = []
    for processor, low, high in wanted.sides:
        whole_input = wanted.dimension is None or (wanted.dimension is Dimension.CHANNELS and mixes)
        if whole_input:
            need = (0.0, 1.0)
        elif wanted.dimension is Dimension.HEIGHT:
            need = (max(0.0, low - halo / 2), min(1.0, high + halo / 2))
        else:
            need = (low, high)
        cost, own, sources = 0.0, 0.0, []
        for side, (source, begin, end) in enumerate(written.sides):
            if written.dimension is None or written.dimension is wanted.dimension or whole_input:
                share = max(0.0, min(end, need[1]) - max(begin, need[0]))
            else:
                share = (end - begin) * (need[1] - need[0])
            if share <= 0:
                continue
            if source == processor:
                own = size_bytes * share if written.dimension is Dimension.HEIGHT else 0.0
            else:
                sources.append(side)
                cost += costs.transfer[source][processor].cost_us(size_bytes * share)
        # Rows of its own only move where others join them (see the timeline).
        joined = costs.gather[processor].cost_us(own) if sources and own else 0.0
        found.append((cost + joined, tuple(sources)))
    return tuple(found)
