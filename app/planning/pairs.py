"""Two processors working on one kernel: which pairs there are, and what their parts take."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.planning.problem import Problem
from app.planning.splitting import FRACTIONS, Dimension

Floats = NDArray[np.float64]


def pairs(problem: Problem) -> list[tuple[int, int]]:
    """Pairs of processors that can run at the same time, a CPU first; CPU with accelerator before others."""
    found = []
    for one, first in enumerate(problem.processors):
        for other, second in enumerate(problem.processors):
            if one == other or problem.shares[one, other]:
                continue
            mixed = first.kind == "cpu" and second.kind != "cpu"
            if mixed or (one < other and (first.kind == "cpu") == (second.kind == "cpu")):
                found.append((not mixed, one, other))
    return [(one, other) for _, one, other in sorted(found)]


def fastest_pair(problem: Problem) -> tuple[int, int] | None:
    """Return the pair (a CPU and an accelerator if possible) that would be fastest with perfect splits."""
    candidates = pairs(problem)
    if not candidates:
        return None
    mixed = [
        pair
        for pair in candidates
        if (problem.processors[pair[0]].kind == "cpu") != (problem.processors[pair[1]].kind == "cpu")
    ]
    latency = problem.costs.full

    def ideal(pair: tuple[int, int]) -> float:
        first, second = latency[:, pair[0]], latency[:, pair[1]]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = 1.0 / np.maximum(first, 1e-9) + 1.0 / np.maximum(second, 1e-9)
            return float((1.0 / rate).sum())

    return min(mixed or candidates, key=lambda pair: (ideal(pair), pair))


def part_times(problem: Problem, dimension: Dimension, processor: int, fractions: Sequence[float]) -> Floats:
    """Latency of parts of every kernel, shape (K, len(fractions)); NaN where it cannot be cut."""
    table = problem.costs.splits[dimension][:, processor, :]
    grid = np.asarray(FRACTIONS)
    wanted = np.clip(np.asarray(fractions), grid[0], grid[-1])
    right = np.clip(np.searchsorted(grid, wanted), 1, len(grid) - 1)
    weight = (wanted - grid[right - 1]) / (grid[right] - grid[right - 1])
    with np.errstate(invalid="ignore"):  # infinite where not supported
        return np.asarray(table[:, right - 1] * (1 - weight) + table[:, right] * weight)


def split_times(
    problem: Problem, dimension: Dimension, pair: tuple[int, int], ratios: Sequence[float], shared: float
) -> Floats:
    """Time of each kernel split over a pair, the first taking each of `ratios`, shape (K, len(ratios)).

    Both sides pay their dispatch and, for the share `shared` of the other side's part of the input, a copy.
    """
    one, other = pair
    rest = [1.0 - ratio for ratio in ratios]
    sizes = problem.structure.read_bytes[:, None] * shared
    first = part_times(problem, dimension, one, ratios)
    second = part_times(problem, dimension, other, rest)
    forth, back = problem.costs.transfer[one][other], problem.costs.transfer[other][one]
    moved = sizes > 0
    first = first + problem.costs.dispatch_us[one]
    first = first + moved * back.latency_us + back.us_per_byte * sizes * np.asarray(rest)
    second = second + problem.costs.dispatch_us[other]
    second = second + moved * forth.latency_us + forth.us_per_byte * sizes * np.asarray(ratios)
    return np.asarray(np.maximum(first, second))
