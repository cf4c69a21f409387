"""States of the beam search, and the front on which the best of them are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter, le
from typing import NamedTuple

Held = tuple[int, tuple[int, ...], tuple[float, ...], int]
"""A live tensor: its layout, the works that wrote its parts, when they end, and a mask of full copies."""

Open = tuple[int, float, int, float, float]
"""A processor's open work: its number, start and layout, and what it must fetch, and from when on that is
there, once a later unit makes it compute rows beyond its own. None once someone waits for its results."""


@dataclass(slots=True)
class State:
    """One partial plan; `trail` leads back to the choices that made it."""

    free: tuple[float, ...]
    open: tuple[Open | None, ...]
    held: tuple[Held, ...]
    end: float
    trail: "tuple[State, int, tuple[int, ...]] | None"


class Ran(NamedTuple):
    """How a unit ran: its layout, works and their ends.

    `begins` are the starts of the works, `fresh` tells new ones from open ones that go on; `waited` are
    works that it read from, `marks` the positions of the tensors that are now copied. `defers` tells that
    the works may have to fetch rows later, `deferred` that open ones still have to.
    """

    layout: int
    numbers: tuple[int, ...]
    ends: tuple[float, ...]
    begins: tuple[float, ...]
    fresh: bool
    waited: Sequence[int] = ()
    marks: Sequence[int] = ()
    defers: bool = False
    deferred: bool = False


Offer = tuple[float, State, Ran]
"""A state that could be reached: an estimate of when it would end, from which state, and how."""


def kept(offers: list[Offer], width: int, build: Callable[[State, Ran], State]) -> tuple[list[State], bool]:
    """Return the most promising states, built, in order, and whether any but dominated ones were dropped.

    States that agree in all but times are compared, and one that is nowhere earlier than another is dropped.
    """
    offers.sort(key=itemgetter(0))
    states: dict[int, State] = {}
    groups: dict[object, list[tuple[tuple[float, ...], int]]] = {}
    for place, (_, state, ran) in enumerate(offers):
        if len(states) >= width:
            return list(states.values()), True
        child = build(state, ran)
        mine = _times(child)
        rivals = groups.setdefault(_agreement(child), [])
        beaten = []
        for rival in rivals:
            if all(map(le, rival[0], mine)):
                break
            if all(map(le, mine, rival[0])):
                beaten.append(rival)
        else:
            for rival in beaten:
                rivals.remove(rival)
                del states[rival[1]]
            rivals.append((mine, place))
            states[place] = child
    return list(states.values()), False


def _agreement(state: State) -> object:
    numbers = {work[0] for work in state.open if work is not None}
    return (
        tuple([(layout, mask, works[0] in numbers) for layout, works, _, mask in state.held]),
        tuple([None if work is None else work[2] for work in state.open]),
    )


def _times(state: State) -> tuple[float, ...]:
    times = [*state.free, state.end]
    for entry in state.held:
        times += entry[2]
    for work in state.open:
        if work is not None:
            # An open work that started later takes in more without waiting.
            times += (-work[1], work[3], work[4])
    return tuple(times)
