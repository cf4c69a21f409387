"""What announces before a run that it may miss its prediction by more than usual."""

from math import log

import numpy as np
from numpy.typing import NDArray

from predictors.context_features import NAMES
from predictors.state_features import LONG_LOG_US
from predictors.usual import READ

Floats = NDArray[np.float64]

_JUMPS = np.array([NAMES.index(f"jump_{name}") for name in READ])
_LENGTH = NAMES.index("log_calm_us")
_MOST = 5.0
_SHORTEST_LOG_US = log(1_000.0)
"""Networks are hardly shorter: what two operators by themselves would announce, nobody has seen."""


def signs_of(row: Floats) -> Floats:
    """Return what a run's vector announces, shape (len(READ) + 1,), each from 0 to 5.

    Absolute jumps of the context since the runs before announce a change of regime (a missing sensor did not
    jump); and a run of a few time slices is hit by a competing process or not: by how much (log) it is
    shorter than that, down to a millisecond.
    """
    signs = np.array([*np.abs(row[_JUMPS]), LONG_LOG_US - max(row[_LENGTH], _SHORTEST_LOG_US)])
    clipped: Floats = np.clip(np.nan_to_num(signs), 0.0, _MOST)
    return clipped
