"""Is one learner better than another on the same runs? A paired bootstrap over blocks of neighbours."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def difference_interval(
    errors: Floats, others: Floats, blocks: NDArray[np.int64], draws: int = 2_000
) -> tuple[float, float]:
    """Return the 95 % interval of mean(errors - others), resampling whole blocks (all of shape (n,))."""
    rng = np.random.default_rng(7)
    _, places = np.unique(blocks, return_inverse=True)
    sums, counts = np.bincount(places, errors - others), np.bincount(places)
    drawn = rng.integers(len(counts), size=(draws, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
