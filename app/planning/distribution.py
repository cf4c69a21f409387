"""From a timeline at means to the distribution of its latency.

Latencies are not independent: everything that a processor runs shares its slowdown of the moment, and
processors share part of theirs (one memory, one thermal budget). On top, each kernel scatters on its own.
The same samples serve all plans of an answer, so that differences between plans are not noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtri

from app.planning.plan import Distribution
from app.planning.problem import Problem
from app.planning.timeline import Timeline, sampled_ends_us

Floats = NDArray[np.float64]
SAMPLES = 256
_COMMON_SHARE = 0.5
"""Share of the slowdown's variance that processors of one SoC have in common."""
_SLOWEST = 0.05
"""A kernel never takes less than this share of its mean."""


@dataclass(frozen=True)
class Sampler:
    """Samples of the world for one problem: slowdown by processor (P, S), noise by processor, kernel (K, S).

    Processors of one noise level share its samples.
    """

    slowdown: Floats
    noise: tuple[Floats, ...]

    @classmethod
    def of(cls, problem: Problem) -> "Sampler":
        """Draw the samples; the same problem always gets the same ones."""
        spread = problem.costs.spread
        shared = np.array([item.shared for item in spread])[:, None]
        normal = _slowdown_normals(len(spread))
        slowdown = np.exp(normal * shared - shared**2 / 2)
        slowdown /= slowdown.mean(axis=1, keepdims=True)
        count = len(problem.kernels)
        return cls(slowdown, tuple(_kernel_factors(count, float(item.noise)) for item in spread))

    def ends_us(self, timeline: Timeline) -> Floats:
        """Return the end of every work in every sample, shape (W, S)."""
        works = timeline.draft.works
        duration = np.zeros((len(works), SAMPLES))
        fixed = np.asarray(timeline.fixed_us)
        for processor, slowdown in enumerate(self.slowdown):
            mine = [place for place, work in enumerate(works) if work.processor == processor]
            if mine:
                duration[mine] = self._computes_us(timeline, mine, processor) * slowdown
                duration[mine] += fixed[mine, None]
        sampled_ends_us(timeline.waits, timeline.release_us, duration)
        return duration

    def _computes_us(self, timeline: Timeline, places: Sequence[int], processor: int) -> Floats:
        """Return what the kernels of some works take in every sample, shape (len(places), S)."""
        works = timeline.draft.works
        latency = [value for place in places for value in timeline.kernels_us[place]]
        members = [index for place in places for index in works[place].kernels]
        counts = np.cumsum([0, *(len(works[place].kernels) for place in places)])
        noise = self.noise[processor]
        weights = csr_array((latency, members, counts), shape=(len(places), len(noise)))
        return np.asarray(weights @ noise)


def summary(samples_us: Floats, mean_us: float) -> Distribution:
    """Return mean and quantiles of sampled latencies; the mean is never below that of the mean timeline.

    A maximum of random ends has a mean at or above the maximum of mean ends (Jensen), which a finite
    sample can miss by a hair.
    """
    ordered = np.sort(samples_us)
    place = np.array((0.5, 0.9, 0.99)) * (len(ordered) - 1)
    below = place.astype(np.intp)
    quantiles = ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])
    p50, p90, p99 = quantiles.tolist()
    return Distribution(max(float(samples_us.mean()), mean_us), p50, p90, p99)


@lru_cache(maxsize=16)
def _slowdown_normals(processors: int) -> Floats:
    """Stratified standard normals with a common part, shape (P, S)."""
    rng = np.random.default_rng(20405)
    grid = ndtri((np.arange(SAMPLES) + 0.5) / SAMPLES)
    common = rng.permutation(grid)
    own = np.stack([rng.permutation(grid) for _ in range(processors)])
    mixed = np.sqrt(_COMMON_SHARE) * common + np.sqrt(1 - _COMMON_SHARE) * own
    return np.asarray(mixed)


@lru_cache(maxsize=16)
def _kernel_factors(kernels: int, noise: float) -> Floats:
    """Antithetic factors on each kernel's latency, shape (K, S): their mean over samples is 1."""
    rng = np.random.default_rng(1851)
    half = rng.standard_normal((SAMPLES // 2, kernels), dtype=np.float64).T
    return np.maximum(1.0 + noise * np.concatenate([half, -half], axis=1), _SLOWEST)
