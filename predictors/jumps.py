"""How far the context jumped since the runs before: what announces a change of regime."""

import numpy as np
from numpy.typing import NDArray

from predictors.context_features import NAMES
from predictors.usual import READ

Floats = NDArray[np.float64]

_PLACES = np.array([NAMES.index(f"jump_{name}") for name in READ])
_MOST = 5.0


def jumps_of(row: Floats) -> Floats:
    """Return absolute jumps from a run's vector, shape (len(READ),); a missing sensor did not jump."""
    jumps: Floats = np.abs(row[_PLACES])
    jumps[np.isnan(jumps)] = 0.0
    return np.minimum(jumps, _MOST)
