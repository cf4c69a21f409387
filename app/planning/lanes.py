"""Who runs beside whom: intervals of processors that each do one thing at a time."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

P = TypeVar("P", bound=Hashable)


class Interval(NamedTuple, Generic[P]):
    """What a processor does from `start_us` to `end_us`; `place` numbers it."""

    processor: P
    start_us: float
    end_us: float
    place: int


class Lanes(Generic[P]):
    """Intervals by processor, so that those beside another are found without looking at all of them."""

    def __init__(self, intervals: Iterable[Interval[P]]) -> None:
        self._lanes: dict[P, list[Interval[P]]] = defaultdict(list)
        for item in sorted(intervals, key=lambda item: item.start_us):
            self._lanes[item.processor].append(item)
        self._ends = {name: [item.end_us for item in lane] for name, lane in self._lanes.items()}

    def beside(self, interval: Interval[P]) -> Iterator[tuple[Interval[P], float]]:
        """Yield what other processors do meanwhile, and for how many microseconds of it."""
        for name, lane in self._lanes.items():
            if name == interval.processor:
                continue
            for place in range(bisect_right(self._ends[name], interval.start_us), len(lane)):
                other = lane[place]
                if other.start_us >= interval.end_us:
                    break
                overlap_us = min(interval.end_us, other.end_us) - max(interval.start_us, other.start_us)
                if overlap_us > 0:
                    yield other, overlap_us
