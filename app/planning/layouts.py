"""Where a tensor is: whole on one processor, or in two parts on two of them."""

from dataclasses import dataclass

from app.planning.costs import Transfer
from app.planning.splitting import Dimension


@dataclass(frozen=True, slots=True)
class Layout:
    """One placement of a unit and so of what it writes: `sides` are (processor, low, high)."""

    dimension: Dimension | None
    sides: tuple[tuple[int, float, float], ...]

    @property
    def ratio(self) -> float:
        """Share of the first side."""
        return self.sides[0][2]


def whole(processor: int) -> Layout:
    """Return the layout on one processor."""
    return Layout(None, ((processor, 0.0, 1.0),))


def split(dimension: Dimension, pair: tuple[int, int], ratio: float) -> Layout:
    """Return the layout over two processors, the first with `ratio`."""
    return Layout(dimension, ((pair[0], 0.0, ratio), (pair[1], ratio, 1.0)))


Fetch = tuple[int, float]
"""One copy of a part: the side (0 or 1) that it comes from, and its cost in microseconds."""


def fetches(
    written: Layout,
    wanted: Layout,
    size_bytes: float,
    halo: float,
    transfer: list[list[Transfer]],
    *,
    mixes: bool,
) -> tuple[tuple[Fetch, ...], ...]:
    """Return, for each side of a reader in layout `wanted`, the copies it makes of a tensor."""
    found = []
    for processor, low, high in wanted.sides:
        whole_input = wanted.dimension is None or (wanted.dimension is Dimension.CHANNELS and mixes)
        if whole_input:
            need = (0.0, 1.0)
        elif wanted.dimension is Dimension.HEIGHT:
            need = (max(0.0, low - halo / 2), min(1.0, high + halo / 2))
        else:
            need = (low, high)
        copies = []
        for side, (source, begin, end) in enumerate(written.sides):
            if source == processor:
                continue
            if written.dimension is None or written.dimension is wanted.dimension or whole_input:
                share = max(0.0, min(end, need[1]) - max(begin, need[0]))
            else:
                share = (end - begin) * (need[1] - need[0])
            if share > 0:
                copies.append((side, transfer[source][processor].cost_us(size_bytes * share)))
        found.append(tuple(copies))
    return tuple(found)
