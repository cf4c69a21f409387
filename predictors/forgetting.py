"""When a device's newest runs stop telling the next one: after a silence, or when circumstances jump.

    share of the state that counts = (1 - doubt) / (1 + (silence / s)^4) / (1 + (surprise / j)^4)
    doubt after the run            = lingering · (1 - share)

Silence is the time since the newest run ended; surprise is how far what context alone tells has moved from
what it told of the newest runs; doubt is what is left of earlier breaks while runs from before them are
still among the newest. s, j and lingering are learned from predictions that were made beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from predictors.buffer import Row
from predictors.device_state import Signs

Floats = NDArray[np.float64]

POWER = 4
NEVER = 99.0
"""A surprise (log) that does not happen: surprises do not count."""

_SILENCES_US = (5e6, 0.15e6, 0.25e6, 0.5e6, 1e6, 2e6)
_SURPRISES = (NEVER, 0.25, 0.4, 0.6)
_LINGERINGS = (0.0, 0.3, 0.5, 0.7)
_BETTER = 0.995
"""Less than half a percent gained is chance: the default stays."""
_LEAST_ROWS = 100
_MOST_ROWS = 3_000


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The silence and the surprise after which the state counts half, and how long doubt lingers."""

    silence_us: float = _SILENCES_US[0]
    surprise: float = _SURPRISES[0]
    lingering: float = _LINGERINGS[0]

    def share(self, signs: Signs, context_log: float) -> float:
        """Return how far (0 to 1) the state counts where context alone tells `context_log`."""
        surprise = abs(context_log - signs.usual_log)
        return self.share_by_time(signs) / (1.0 + (surprise / self.surprise) ** POWER)

    def share_by_time(self, signs: Signs) -> float:
        """Return how far the state would count without any surprise."""
        return (1.0 - signs.doubt) / (1.0 + (signs.silence_us / self.silence_us) ** POWER)

    @classmethod
    def fit(cls, rows: Sequence[Row]) -> "Forgetting":
        """Return what would have served best: least absolute misses of the blend, on runs in time order."""
        judged = [row for row in rows if isfinite(row.fresh_log)][-_MOST_ROWS:]
        if len(judged) < _LEAST_ROWS:
            return cls()
        silences, surprises, lingerings = np.array(
            list(product(_SILENCES_US, _SURPRISES, _LINGERINGS))
        ).T  # shape (candidates,) each, the default first
        doubts: dict[str, Floats] = {}
        misses = np.zeros(len(silences))
        for row in judged:
            doubt = doubts.get(row.device_id, np.zeros(len(silences)))
            surprise = abs(row.alone_log - row.signs.usual_log)
            share = (1.0 - doubt) / (1.0 + (row.signs.silence_us / silences) ** POWER)
            share /= 1.0 + (surprise / surprises) ** POWER
            misses += np.abs(row.stretch - share * row.fresh_log - (1.0 - share) * row.alone_log)
            doubts[row.device_id] = lingerings * (1.0 - share)
        best = int(np.argmin(misses))
        if misses[best] > _BETTER * misses[0]:
            return cls()
        return cls(float(silences[best]), float(surprises[best]), float(lingerings[best]))
