"""Memory for the tensors between stages, allocated once: parts lie in their whole wherever they can.

A part along the first axis longer than 1 is one stretch of memory, so stages write it where the joined
tensor already is, and read it without a copy. Rows of several channels are not: whoever needs more than
one such part, or another one, copies it together just before it runs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.executor.ranges import Part
from collectors.executor.source import SourceModel
from collectors.executor.wiring import WiredStage, overlap

Array = NDArray[Any]
Copy = tuple[Array, Array]
"""Target and source of a copy, both views."""


class Buffers:
    """One array per tensor, or one per part where parts cannot lie in their whole."""

    def __init__(self, source: SourceModel, stages: Sequence[WiredStage]) -> None:
        self._source = source
        self.whole: dict[str, Array] = {name: self._allocate(name) for name in source.graph.inputs}
        self._parts: dict[str, list[tuple[Part, Array]]] = {}
        for stage in stages:
            for tensor, part in stage.cut.outputs.items():
                self._prepare(tensor, part)

    def output(self, tensor: str, part: Part | None) -> Array:
        """Return where a stage writes a tensor or a part of it."""
        if tensor in self.whole:
            return self.whole[tensor] if part is None else view(self.whole[tensor], part)
        return next(array for made, array in self._parts[tensor] if made == part)

    def input(self, tensor: str, part: Part | None) -> tuple[Array, list[Copy]]:
        """Return what a stage reads, and the copies that have to be made before each run."""
        if tensor in self.whole:
            wanted = self.whole[tensor] if part is None else view(self.whole[tensor], part)
            if wanted.flags.c_contiguous:
                return wanted, []
            own = np.empty(wanted.shape, wanted.dtype)
            return own, [(own, wanted)]
        made = self._parts[tensor]
        exact = [array for place, array in made if place == part]
        if exact:
            return exact[0], []
        shape = self._source.shape(tensor)
        wanted_part = part or Part(made[0][0].axis, 0, shape[made[0][0].axis])
        own = np.empty(wanted_part.of(shape), self._source.dtype(tensor))
        return own, _gather(own, wanted_part, made)

    def results(self) -> Mapping[str, Array]:
        """Return copies of the graph's outputs."""
        results = {}
        for name in self._source.graph.outputs:
            if name in self._source.constants:
                results[name] = self._source.constants[name]
                continue
            array, copies = self.input(name, None)
            for target, origin in copies:
                np.copyto(target, origin)
            results[name] = array.copy()
        return results

    def _prepare(self, tensor: str, part: Part | None) -> None:
        if tensor in self.whole:
            return
        shape = self._source.shape(tensor)
        if part is None or math.prod(shape[: part.axis]) == 1:
            self.whole[tensor] = self._allocate(tensor)
        else:
            array = np.empty(part.of(shape), self._source.dtype(tensor))
            self._parts.setdefault(tensor, []).append((part, array))

    def _allocate(self, tensor: str) -> Array:
        return np.empty(self._source.shape(tensor), self._source.dtype(tensor))


def view(array: Array, part: Part) -> Array:
    """Return a part of an array without copying."""
    return array[(slice(None),) * part.axis + (slice(part.start, part.stop),)]


def _gather(own: Array, wanted: Part, made: Sequence[tuple[Part, Array]]) -> list[Copy]:
    copies = []
    for part, array in made:
        if part.axis != wanted.axis:
            copies.append((view(own, part), view(array, wanted)))
        elif overlap(part, wanted):
            start, stop = max(part.start, wanted.start), min(part.stop, wanted.stop)
            target = view(own, Part(wanted.axis, start - wanted.start, stop - wanted.start))
            copies.append((target, view(array, Part(part.axis, start - part.start, stop - part.start))))
    return copies
