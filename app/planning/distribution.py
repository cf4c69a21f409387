"""From a timeline at means to the distribution of its latency.

Latencies are not independent: everything that a processor runs shares its slowdown of the moment, and
processors share part of theirs (one memory, one thermal budget). On top, each kernel scatters on its own.
The same samples serve all plans of an answer, so that differences between plans are not noise.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from app.planning.plan import Distribution
from app.planning.problem import Problem
from app.planning.timeline import Timeline

Floats = NDArray[np.float64]
SAMPLES = 256
_COMMON_SHARE = 0.5
"""Share of the slowdown's variance that processors of one SoC have in common."""
_SLOWEST = 0.05
"""A kernel never takes less than this share of its mean."""


@dataclass(frozen=True)
class Sampler:
    """Samples of the world for one problem: slowdown by processor (S, P), noise by kernel (S, K)."""

    slowdown: Floats
    noise: Floats
    noise_scale: Floats

    @classmethod
    def of(cls, problem: Problem) -> "Sampler":
        """Draw the samples; the same problem always gets the same ones."""
        spread = problem.costs.spread
        shared = np.array([item.shared for item in spread])
        normal = _slowdown_normals(len(spread))
        slowdown = np.exp(normal * shared - shared**2 / 2)
        slowdown /= slowdown.mean(axis=0)
        return cls(slowdown, _kernel_normals(len(problem.kernels)), np.array([item.noise for item in spread]))

    def ends_us(self, timeline: Timeline) -> Floats:
        """Return the end of every work in every sample, shape (W, S)."""
        works = timeline.draft.works
        if not works:
            return np.zeros((0, SAMPLES))
        members = np.concatenate([np.asarray(work.kernels, dtype=np.intp) for work in works])
        latency = np.concatenate([np.asarray(values) for values in timeline.kernels_us])
        processor = np.array([work.processor for work in works], dtype=np.intp)
        counts = [len(work.kernels) for work in works]
        scale = np.repeat(self.noise_scale[processor], counts)
        kernels = latency * np.maximum(1.0 + self.noise[:, members] * scale, _SLOWEST)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        compute = np.add.reduceat(kernels, starts, axis=1)
        duration = (np.asarray(timeline.fixed_us) + compute * self.slowdown[:, processor]).T
        ends = np.empty_like(duration)
        for place, waits in enumerate(timeline.waits):
            begin = np.float64(timeline.release_us[place])
            row = duration[place]
            if len(waits) == 1:
                np.maximum(ends[waits[0]], begin, out=ends[place])
            elif waits:
                np.maximum(ends[list(waits)].max(axis=0), begin, out=ends[place])
            else:
                ends[place] = begin
            ends[place] += row
        return ends


def summary(samples_us: Floats, mean_us: float) -> Distribution:
    """Return mean and quantiles of sampled latencies; the mean is never below that of the mean timeline.

    A maximum of random ends has a mean at or above the maximum of mean ends (Jensen), which a finite
    sample can miss by a hair.
    """
    p50, p90, p99 = np.quantile(samples_us, (0.5, 0.9, 0.99))
    return Distribution(max(float(samples_us.mean()), mean_us), float(p50), float(p90), float(p99))


@lru_cache(maxsize=16)
def _slowdown_normals(processors: int) -> Floats:
    """Stratified standard normals with a common part, shape (S, P)."""
    rng = np.random.default_rng(20405)
    grid = ndtri((np.arange(SAMPLES) + 0.5) / SAMPLES)
    common = rng.permutation(grid)
    own = np.stack([rng.permutation(grid) for _ in range(processors)], axis=1)
    mixed = np.sqrt(_COMMON_SHARE) * common[:, None] + np.sqrt(1 - _COMMON_SHARE) * own
    return np.asarray(mixed)


@lru_cache(maxsize=16)
def _kernel_normals(kernels: int) -> Floats:
    """Antithetic standard normals, shape (S, K): their mean over samples is exactly 0."""
    rng = np.random.default_rng(1851)
    half = rng.standard_normal((SAMPLES // 2, kernels), dtype=np.float64)
    return np.concatenate([half, -half])
