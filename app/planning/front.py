"""States of the beam search, and the front on which the best of them are kept."""

from bisect import insort
from dataclasses import dataclass
from operator import le

Held = tuple[int, tuple[int, ...], tuple[float, ...], int]
"""A live tensor: its layout, the works that wrote its parts, when they end, and a mask of full copies."""

Open = tuple[int, float, int, float, float]
"""A processor's open work: its number, start and layout, and what it must fetch, and from when on that is
there, once a later unit makes it compute rows beyond its own. None once someone waits for its results."""


@dataclass(slots=True)
class State:
    """One partial plan; `trail` leads back to the choices that made it.

    It cannot end before `bound`; `rank` is an estimate of when it will, which orders states.
    """

    free: tuple[float, ...]
    open: tuple[Open | None, ...]
    held: tuple[Held, ...]
    end: float
    bound: float
    rank: float
    trail: "tuple[State, int, tuple[int, ...]] | None"


class Front:
    """The states after one more unit, by what they agree in; only the best are kept."""

    def __init__(self, width: int, incumbent_us: float) -> None:
        self._width = width
        self._limit = incumbent_us
        self._ranks: list[float] = []
        self._found: dict[object, list[State]] = {}
        self.truncated = False

    def admits(self, bound: float, rank: float) -> bool:
        """Tell whether a state of that bound and rank can still be among the best."""
        if bound >= self._limit:
            return False
        if len(self._ranks) >= self._width and rank > self._ranks[self._width - 1]:
            self.truncated = True
            return False
        return True

    def add(self, child: State | None) -> None:
        """Keep a state unless one that agrees in all but times is nowhere later; drop those it beats."""
        if child is None or child.bound >= self._limit:
            return
        numbers = {work[0] for work in child.open if work is not None}
        key = (
            tuple([(layout, mask, works[0] in numbers) for layout, works, _, mask in child.held]),
            tuple([None if work is None else work[2] for work in child.open]),
        )
        rivals = self._found.get(key)
        if rivals:
            mine = _times(child)
            kept = []
            for rival in rivals:
                theirs = _times(rival)
                if all(map(le, theirs, mine)):
                    return
                if not all(map(le, mine, theirs)):
                    kept.append(rival)
            rivals[:] = [*kept, child]
        else:
            self._found[key] = [child]
        insort(self._ranks, child.rank)

    def best(self) -> list[State]:
        """Return the most promising states, in order."""
        states = [state for group in self._found.values() for state in group]
        states.sort(key=lambda state: (state.rank, state.end, sum(state.free)))
        if len(states) > self._width:
            self.truncated = True
        return states[: self._width]


def _times(state: State) -> tuple[float, ...]:
    ends = [value for entry in state.held for value in entry[2]]
    # An open work that started later takes in more without waiting.
    starts = [-work[1] for work in state.open if work is not None]
    return (*state.free, *ends, *starts, state.end)
