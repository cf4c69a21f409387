"""The one simulator that every plan is scored by: who runs what when.

Semantics, stated because plans are compared by them:

- A processor takes its works in the draft's order, one at a time; so do processors that share a resource.
- A work occupies its processor for its dispatch, then for the copies of what it reads and others wrote,
  then for its kernels. Nothing of it is readable before it ends.
- A copy is paid once per tensor and target: what was copied stays readable there. Where several parts
  make up a tensor, each missing part is a copy of its own.
- The model's inputs and weights are where they are needed, results stay where they are written: these
  costs are the same for every plan.
- A part waits for those parts of its inputs that it reads, not for the others.
- A part cut by height also computes, and reads, the rows that later kernels of its work overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.planning.plan import Draft, Split, Work
from app.planning.problem import Kernel, Problem
from app.planning.splitting import Dimension, halo, mixes_channels

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy that a work makes before it computes."""

    tensor: int
    source: int
    size_bytes: float
    cost_us: float


@dataclass(frozen=True)
class Timeline:
    """A draft laid out in time; all lists have one entry a work, times in microseconds.

    `shares` are the parts of its kernels that a work computes, with rows that overlap.
    """

    draft: Draft
    waits: tuple[tuple[int, ...], ...]
    fixed_us: tuple[float, ...]
    copies: tuple[tuple[Copy, ...], ...]
    kernels_us: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    release_us: tuple[float, ...]
    start_us: tuple[float, ...]
    end_us: tuple[float, ...]

    @cached_property
    def latency_us(self) -> float:
        """End of the last work."""
        return max(self.end_us, default=0.0)

    @cached_property
    def transfer_us(self) -> float:
        """Time spent on copies."""
        return sum(copy.cost_us for copies in self.copies for copy in copies)

    @cached_property
    def hand_overs(self) -> int:
        """Number of copies."""
        return sum(len(copies) for copies in self.copies)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one work wrote of a tensor."""

    work: int
    processor: int
    split: Split | None


_WHOLE = Split(Dimension.HEIGHT, 0.0, 1.0)


def simulate(problem: Problem, draft: Draft) -> Timeline:
    """Lay a draft out in time at mean latencies.

    Raises `ValueError` where the draft reads what nothing has written yet: a strategy's mistake.
    """
    layout = _Layout(problem, draft)
    for place, work in enumerate(draft.works):
        layout.append(place, work)
    start, end = longest_path(
        layout.waits,
        layout.release,
        [fixed + sum(kernels) for fixed, kernels in zip(layout.fixed, layout.kernels, strict=True)],
    )
    return Timeline(
        draft,
        tuple(layout.waits),
        tuple(layout.fixed),
        tuple(layout.copies),
        tuple(layout.kernels),
        tuple(layout.shares),
        tuple(layout.release),
        tuple(start),
        tuple(end),
    )


def offline_latency_us(problem: Problem, timeline: Timeline) -> float:
    """Return the latency of the same plan at offline latencies."""
    table = problem.costs.full_offline
    works = timeline.draft.works
    problem.costs.predict_offline(
        {(index, work.split.dimension) for work in works if work.split for index in work.kernels}
    )
    durations = []
    for place, work in enumerate(works):
        shares = timeline.shares[place]
        if work.split is None:
            compute = float(table[list(work.kernels), work.processor].sum())
        else:
            dimension = work.split.dimension
            compute = sum(
                problem.costs.part_us(index, work.processor, dimension, share, offline=True)
                for index, share in zip(work.kernels, shares, strict=True)
            )
        scale = timeline.draft.scale[place] if timeline.draft.scale else 1.0
        durations.append(timeline.fixed_us[place] + compute * scale)
    _, end = longest_path(timeline.waits, timeline.release_us, durations)
    return max(end, default=0.0)


def longest_path(
    waits: Sequence[tuple[int, ...]], release: Sequence[float], durations: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return start and end of each work, earliest possible."""
    start: list[float] = []
    end: list[float] = []
    for earlier, ready, duration in zip(waits, release, durations, strict=True):
        begin = max((end[other] for other in earlier), default=0.0)
        begin = max(begin, ready)
        start.append(begin)
        end.append(begin + duration)
    return start, end


class _Layout:
    """The state of a simulation: what is where, and who used which processor last."""

    def __init__(self, problem: Problem, draft: Draft) -> None:
        self._problem = problem
        self._scale = draft.scale
        self._whole = problem.costs.rows
        self._pieces: dict[int, list[_Piece]] = {}
        self._copied: dict[tuple[int, int, int], tuple[float, float]] = {}
        self._done: list[list[int]] = [[] for _ in problem.kernels]
        self._last: dict[str, int] = {}
        self.waits: list[tuple[int, ...]] = []
        self.fixed: list[float] = []
        self.copies: list[tuple[Copy, ...]] = []
        self.kernels: list[tuple[float, ...]] = []
        self.shares: list[tuple[float, ...]] = []
        self.release: list[float] = []

    def append(self, place: int, work: Work) -> None:
        problem = self._problem
        waits = set(work.after)
        copies: list[Copy] = []
        members = set(work.kernels)
        shares, overlap = self._shares(work, members)
        for index in work.kernels:
            kernel = problem.kernels[index]
            for earlier in kernel.before:
                if earlier in members:
                    continue
                if not self._done[earlier]:
                    raise ValueError(f"kernel {index} runs before kernel {earlier}, which it waits for")
                if problem.kernels[earlier].model != kernel.model:
                    waits.update(self._done[earlier])
            for tensor in kernel.reads:
                writer = problem.tensors[tensor].writer
                if writer >= 0 and writer not in members:
                    copies += self._fetch(tensor, kernel, work, overlap.get(index, 0.0), waits)
        for index in work.kernels:
            self._done[index].append(place)
        for tensor in {tensor for index in work.kernels for tensor in problem.kernels[index].writes}:
            self._pieces.setdefault(tensor, []).append(_Piece(place, work.processor, work.split))
        for resource in problem.processors[work.processor].resources:
            if resource in self._last:
                waits.add(self._last[resource])
            self._last[resource] = place
        scale = self._scale[place] if self._scale else 1.0
        self.waits.append(tuple(sorted(waits)))
        self.copies.append(tuple(copies))
        self.fixed.append(problem.costs.dispatch_us[work.processor] + sum(copy.cost_us for copy in copies))
        self.shares.append(shares)
        self.kernels.append(self._latencies(work, shares, scale))
        self.release.append(problem.models[problem.kernels[work.kernels[0]].model].release_us)

    def _latencies(self, work: Work, shares: tuple[float, ...], scale: float) -> tuple[float, ...]:
        if work.split is None:
            rows, processor = self._whole, work.processor
            return tuple([rows[index][processor] * scale for index in work.kernels])
        part_us = self._problem.costs.part_us
        return tuple(
            part_us(index, work.processor, work.split.dimension, share) * scale
            for index, share in zip(work.kernels, shares, strict=True)
        )

    def _shares(self, work: Work, members: set[int]) -> tuple[tuple[float, ...], dict[int, float]]:
        """Return what a work computes of each kernel, and the rows beyond its own among that."""
        if work.split is None:
            return (1.0,) * len(work.kernels), {}
        if work.split.dimension is not Dimension.HEIGHT:
            return (work.split.length,) * len(work.kernels), {}
        overlap = self._overlaps(work, members)
        sides = _sides(work.split) / 2
        shares = tuple(min(1.0, work.split.length + overlap[index] * sides) for index in work.kernels)
        return shares, overlap

    def _overlaps(self, work: Work, members: set[int]) -> dict[int, float]:
        """For each kernel the share of rows that it computes beyond its own because later ones overlap."""
        overlap: dict[int, float] = {}
        for index in reversed(work.kernels):
            overlap[index] = max(
                (
                    overlap[follower] + halo(self._problem.kernels[follower].operator)
                    for follower in self._problem.after[index]
                    if follower in members
                ),
                default=0.0,
            )
        return overlap

    def _fetch(self, tensor: int, kernel: Kernel, work: Work, overlap: float, waits: set[int]) -> list[Copy]:
        """Return the copies that bring what `kernel` needs of a tensor; add the works that wrote it."""
        data = self._problem.tensors[tensor]
        need = _need(kernel, work.split, overlap)
        copies = []
        for place, piece in enumerate(self._pieces[tensor]):
            share = _common(piece.split, need)
            if share <= 0:
                continue
            waits.add(piece.work)
            if piece.processor == work.processor:
                continue
            key = (tensor, work.processor, place)
            low, high = self._copied.get(key, (0.0, 0.0))
            if need.low >= low and need.high <= high:
                continue
            self._copied[key] = (0.0, 1.0) if need is _WHOLE else (need.low, need.high)
            size = data.size_bytes * share
            cost = self._problem.costs.transfer[piece.processor][work.processor].cost_us(size)
            if cost > 0:
                copies.append(Copy(tensor, piece.processor, size, cost))
        return copies


def _sides(split: Split) -> int:
    """Return the number of inner borders of a part."""
    return (split.low > 0) + (split.high < 1)


def _need(kernel: Kernel, split: Split | None, overlap: float) -> Split:
    """Return what a part of a kernel reads of each of its inputs."""
    if split is None:
        return _WHOLE
    if split.dimension is Dimension.CHANNELS:
        return _WHOLE if mixes_channels(kernel.operator) else split
    more = (overlap + halo(kernel.operator)) / 2
    return Split(Dimension.HEIGHT, max(0.0, split.low - more), min(1.0, split.high + more))


def _common(piece: Split | None, need: Split) -> float:
    """Share of a tensor that is both in the piece and needed."""
    if piece is None:
        return need.length
    if need is _WHOLE:
        return piece.length
    if piece.dimension is need.dimension:
        return max(0.0, min(piece.high, need.high) - max(piece.low, need.low))
    return piece.length * need.length
