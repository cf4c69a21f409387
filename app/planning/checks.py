"""What must hold of every strategy on every problem: small named checks, run over all of them by tests.

Each check is a function named `check_…` that takes a problem, a strategy, and one of its drafts, and raises
`AssertionError`.
"""

import math
import sys
from collections.abc import Callable
from itertools import pairwise

from app.planning.bounds import lower_bound_us
from app.planning.effort import Effort
from app.planning.plan import Draft, Work
from app.planning.problem import Problem
from app.planning.splitting import Dimension, mixes_channels
from app.planning.strategy import Granularity, Strategy
from app.planning.timeline import simulate

Check = Callable[[Problem, Strategy, Draft], None]
_TOLERANCE_US = 1e-6


def all_checks() -> list[Check]:
    """Return every check of this module."""
    module = sys.modules[__name__]
    return [getattr(module, name) for name in sorted(dir(module)) if name.startswith("check_")]


def check_covers_each_kernel_once(problem: Problem, _strategy: Strategy, draft: Draft) -> None:
    """Whole kernels run once; the parts of a split one add up to it."""
    parts: dict[int, list[tuple[float, float, str]]] = {}
    for work in draft.works:
        assert work.kernels, "a stage without kernels"
        low, high, dimension = (
            (work.split.low, work.split.high, work.split.dimension.value) if work.split else (0.0, 1.0, "")
        )
        for index in work.kernels:
            parts.setdefault(index, []).append((low, high, dimension))
    assert sorted(parts) == [kernel.index for kernel in problem.kernels]
    for index, ranges in parts.items():
        ranges.sort()
        assert len({dimension for _, _, dimension in ranges}) == 1, f"kernel {index} is cut two ways"
        assert ranges[0][0] == 0.0
        assert ranges[-1][1] == 1.0
        for (_, end, _), (begin, _, _) in pairwise(ranges):
            assert math.isclose(end, begin), f"parts of kernel {index} leave a gap or overlap"


def check_respects_support(problem: Problem, _strategy: Strategy, draft: Draft) -> None:
    """No kernel runs where it is not supported."""
    for work in draft.works:
        processor = problem.processors[work.processor]
        for index in work.kernels:
            assert processor.supports(problem.kernels[index].operator)


def check_dependencies_hold(problem: Problem, _strategy: Strategy, draft: Draft) -> None:
    """Nothing starts before what it reads has ended, nor before its release."""
    timeline = simulate(problem, draft)
    works_of: dict[int, list[int]] = {}
    for place, work in enumerate(draft.works):
        for index in work.kernels:
            works_of.setdefault(index, []).append(place)
    for place, work in enumerate(draft.works):
        seen: set[int] = set()
        for index in work.kernels:
            kernel = problem.kernels[index]
            assert timeline.start_us[place] >= problem.models[kernel.model].release_us - _TOLERANCE_US
            for earlier in kernel.before:
                if earlier in seen:
                    continue
                for other in works_of[earlier]:
                    if not _reads(problem, work, index, draft.works[other]):
                        continue
                    assert timeline.end_us[other] <= timeline.start_us[place] + _TOLERANCE_US
            seen.add(index)


def _reads(problem: Problem, work: Work, kernel: int, other: Work) -> bool:
    """Tell whether a part of a kernel surely reads what another part wrote."""
    if work.split is None or other.split is None or work.split.dimension is not other.split.dimension:
        return True
    if work.split.dimension is Dimension.CHANNELS and mixes_channels(problem.kernels[kernel].operator):
        return True
    return min(work.split.high, other.split.high) - max(work.split.low, other.split.low) > 1e-9


def check_no_processor_or_resource_twice_at_once(problem: Problem, _strategy: Strategy, draft: Draft) -> None:
    """Works on processors that share a resource never overlap in time."""
    timeline = simulate(problem, draft)
    spans: dict[str, list[tuple[float, float]]] = {}
    for place, work in enumerate(draft.works):
        for resource in problem.processors[work.processor].resources:
            spans.setdefault(resource, []).append((timeline.start_us[place], timeline.end_us[place]))
    for intervals in spans.values():
        intervals.sort()
        for (_, end), (begin, _) in pairwise(intervals):
            assert begin >= end - _TOLERANCE_US


def check_never_below_the_bound(problem: Problem, strategy: Strategy, draft: Draft) -> None:
    """Hold where the latency is at least the reported bound, or the strategy rewrites the model."""
    if draft.requires_retraining:
        return
    bound = lower_bound_us(problem, splits=strategy.granularity is Granularity.INTRA_OPERATOR)
    assert simulate(problem, draft).latency_us >= bound * (1 - 1e-9) - _TOLERANCE_US


def check_same_request_same_drafts(problem: Problem, strategy: Strategy, draft: Draft) -> None:
    """Proposing again proposes the same."""
    assert draft in strategy.propose(problem, Effort())
