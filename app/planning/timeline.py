"""The one simulator that every plan is scored by: who runs what when.

Semantics, stated because plans are compared by them:

- A processor takes its works in the draft's order, one at a time; so do processors that share a resource.
- A work occupies its processor for its dispatch, then for the copies of what it reads and others wrote,
  then for its kernels. Nothing of it is readable before it ends.
- A copy is paid once per tensor and target: what was copied stays readable there. Where several parts
  make up a tensor, each missing part is a copy of its own.
- Rows of a height-cut tensor are no stretch of memory: a processor that copies rows of another's also moves
  its own beside them, at the predicted speed of a `Concat`. Parts by channels are written in place.
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
from app.planning.problem import Problem
from app.planning.splitting import Dimension

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

    `shares` are the parts of its kernels that a work computes, with rows that overlap; `slowed` are the
    factors by which works beside it made its kernels slower (empty: none was).
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
    slowed: tuple[float, ...] = ()

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
    costs = problem.costs
    rows = costs.rows_offline
    works = timeline.draft.works
    costs.predict_offline(
        {(index, work.split.dimension) for work in works if work.split for index in work.kernels}
    )
    durations = []
    for place, work in enumerate(works):
        if work.split is None:
            compute = sum([rows[index][work.processor] for index in work.kernels])
        else:
            dimension = work.split.dimension
            compute = sum(
                [
                    costs.part_us(index, work.processor, dimension, share, offline=True)
                    for index, share in zip(work.kernels, timeline.shares[place], strict=True)
                ]
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
    for earlier, begin, duration in zip(waits, release, durations, strict=True):
        for other in earlier:
            begin = max(begin, end[other])  # noqa: PLW2901
        start.append(begin)
        end.append(begin + duration)
    return start, end


def sampled_ends_us(
    waits: Sequence[tuple[int, ...]], release: Sequence[float], durations: Floats
) -> list[Floats]:
    """Return the end of each work in many samples at once; `durations` (W, S) is written over."""
    ends: list[Floats] = []
    for earlier, begin, row in zip(waits, release, durations, strict=True):
        if earlier:
            latest = ends[earlier[0]]
            for other in earlier[1:]:
                latest = np.maximum(latest, ends[other])
            row += np.maximum(latest, begin) if begin else latest  # noqa: PLW2901
        elif begin:
            row += begin  # noqa: PLW2901
        ends.append(row)
    return ends


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
        problem, done = self._problem, self._done
        kernels, tensors = problem.kernels, problem.tensors
        processor, split = work.processor, work.split
        waits = set(work.after)
        copies: list[Copy] = []
        members = set(work.kernels)
        shares, overlap = self._shares(work, members)
        gathering = 0.0
        model = kernels[work.kernels[0]].model
        for index in work.kernels:
            kernel = kernels[index]
            for earlier in kernel.before:
                if earlier in members:
                    continue
                if not done[earlier]:
                    raise ValueError(f"kernel {index} runs before kernel {earlier}, which it waits for")
                if kernels[earlier].model != model:
                    waits.update(done[earlier])
            need = self._need(index, split, overlap)
            for tensor in kernel.reads:
                writer = tensors[tensor].writer
                if writer >= 0 and writer not in members:
                    gathering += self._fetch(tensor, work, need, waits, copies)
        piece = _Piece(place, processor, split)
        for index in work.kernels:
            done[index].append(place)
            for tensor in kernels[index].writes:
                if tensors[tensor].readers:
                    self._pieces.setdefault(tensor, []).append(piece)
        for resource in problem.processors[processor].resources:
            if resource in self._last:
                waits.add(self._last[resource])
            self._last[resource] = place
        fixed = problem.costs.dispatch_us[processor] + gathering
        self.waits.append(tuple(sorted(waits)))
        self.copies.append(tuple(copies))
        self.fixed.append(fixed + sum([copy.cost_us for copy in copies]) if copies else fixed)
        self.shares.append(shares)
        self.kernels.append(self._latencies(work, shares, self._scale[place] if self._scale else 1.0))
        self.release.append(problem.models[model].release_us)

    def _latencies(self, work: Work, shares: tuple[float, ...], scale: float) -> tuple[float, ...]:
        rows, processor = self._whole, work.processor
        if work.split is None:
            found = [rows[index][processor] for index in work.kernels]
        else:
            part_us, dimension = self._problem.costs.part_us, work.split.dimension
            found = [
                part_us(index, processor, dimension, share)
                for index, share in zip(work.kernels, shares, strict=True)
            ]
        return tuple(found if scale == 1.0 else [latency * scale for latency in found])

    def _shares(self, work: Work, members: set[int]) -> tuple[tuple[float, ...], dict[int, float]]:
        """Return what a work computes of each kernel, and the rows beyond its own among that."""
        if work.split is None:
            return (1.0,) * len(work.kernels), {}
        length = work.split.length
        if work.split.dimension is not Dimension.HEIGHT or len(work.kernels) == 1:
            return (length,) * len(work.kernels), {}
        overlap = self._overlaps(work, members)
        sides = _sides(work.split) / 2
        return tuple([min(1.0, length + overlap[index] * sides) for index in work.kernels]), overlap

    def _overlaps(self, work: Work, members: set[int]) -> dict[int, float]:
        """For each kernel the share of rows that it computes beyond its own because later ones overlap."""
        halo, after = self._problem.structure.halo, self._problem.after
        overlap: dict[int, float] = {}
        for index in reversed(work.kernels):
            overlap[index] = max(
                [overlap[follower] + halo[follower] for follower in after[index] if follower in members],
                default=0.0,
            )
        return overlap

    def _fetch(self, tensor: int, work: Work, need: Split, waits: set[int], copies: list[Copy]) -> float:
        """Add the copies that bring what is needed of a tensor, and the works that wrote it.

        Returns the time to move rows of the processor's own beside those that are copied.
        """
        processor, pieces = work.processor, self._pieces[tensor]
        first = pieces[0]
        if first.split is None and first.processor == processor:
            waits.add(first.work)
            return 0.0
        costs, size_bytes = self._problem.costs, self._problem.tensors[tensor].size_bytes
        own, brought = 0.0, False
        for place, piece in enumerate(pieces):
            share = _common(piece.split, need)
            if share <= 0:
                continue
            waits.add(piece.work)
            key = (tensor, processor, place)
            known = self._copied.get(key)
            if known is not None and need.low >= known[0] and need.high <= known[1]:
                continue
            size = size_bytes * share
            if piece.processor == processor:
                own += costs.gather[processor].cost_us(size) if _by_height(piece.split) else 0.0
                continue
            brought = True
            self._copied[key] = (0.0, 1.0) if need is _WHOLE else (need.low, need.high)
            cost = costs.transfer[piece.processor][processor].cost_us(size)
            if cost > 0:
                copies.append(Copy(tensor, piece.processor, size, cost))
        return own if brought else 0.0

    def _need(self, kernel: int, split: Split | None, overlap: dict[int, float]) -> Split:
        """Return what a part of a kernel reads of each of its inputs."""
        if split is None:
            return _WHOLE
        structure = self._problem.structure
        if split.dimension is Dimension.CHANNELS:
            return _WHOLE if structure.mixes[kernel] else split
        more = (overlap.get(kernel, 0.0) + structure.halo[kernel]) / 2
        return Split(Dimension.HEIGHT, max(0.0, split.low - more), min(1.0, split.high + more))


def _by_height(split: Split | None) -> bool:
    return split is not None and split.dimension is Dimension.HEIGHT


def _sides(split: Split) -> int:
    """Return the number of inner borders of a part."""
    return (split.low > 0) + (split.high < 1)


def _common(piece: Split | None, need: Split) -> float:
    """Share of a tensor that is both in the piece and needed."""
    if piece is None:
        return need.length
    if need is _WHOLE:
        return piece.length
    if piece.dimension is need.dimension:
        return max(0.0, min(piece.high, need.high) - max(piece.low, need.low))
    return piece.length * need.length
