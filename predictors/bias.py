"""How far the runtime model has lately been off on a device, and whether its misses repeat.

Misses that come and go are noise: of their mean as much is corrected as later runs were found to show.
Misses of one sign that repeat are a regime the model has not learned: they are corrected in full, by an
average that follows faster (a tracking signal with an adaptive response, Trigg & Leach 1967).
"""

from collections.abc import Sequence
from dataclasses import dataclass

_MOST_MISS = 2.0
_MISS_VARIANCE = 0.15**2
_MOST_GAIN = 0.4
_AGREEMENT_RATE = 0.1
_NO_AGREEMENT, _FULL_AGREEMENT = 0.5, 0.8


@dataclass(frozen=True, slots=True)
class Bias:
    """Means of recent misses (logs), zero while the model is right, each moved by every run.

    `mean_log` trusts a miss the less the larger misses are to be expected; `newest_log` follows in a few
    runs; `agreement` (-1 to 1) is the mean of each miss over what was to be expected, kept within 1.
    """

    mean_log: float = 0.0
    newest_log: float = 0.0
    agreement: float = 0.0

    @property
    def repeats(self) -> float:
        """How surely (0 to 1) misses repeat; about seven large ones of one sign must have come in a row."""
        beyond = (abs(self.agreement) - _NO_AGREEMENT) / (_FULL_AGREEMENT - _NO_AGREEMENT)
        return min(max(beyond, 0.0), 1.0)

    @property
    def wandering_log(self) -> float:
        """The part of the mean miss that may be noise."""
        return (1.0 - self.repeats) * self.mean_log

    def correction_log(self, gain: float) -> float:
        """Return what to add to the next run's log; `gain` (0 to 1) is for what may be noise."""
        return gain * self.wandering_log + self.repeats * self.newest_log

    def after(self, miss_log: float, spread: float, share: float = 1.0) -> "Bias":
        """Return the bias after the model missed by `miss_log` where `spread` was to be expected.

        Gains are bounded: a single outlier never moves them far, and neither does a miss where the state
        counted by a small `share`.
        """
        miss = min(max(miss_log, -_MOST_MISS), _MOST_MISS)
        trusted = share * min(_MISS_VARIANCE / (_MISS_VARIANCE + spread**2), _MOST_GAIN)
        sign = min(max(miss / spread, -1.0), 1.0)
        return Bias(
            round(self.mean_log + trusted * (miss - self.mean_log), 5),
            round(self.newest_log + share * _MOST_GAIN * (miss - self.newest_log), 5),
            round(self.agreement + share * _AGREEMENT_RATE * (sign - self.agreement), 4),
        )

    def to_list(self) -> list[float]:
        """Return the three means."""
        return [self.mean_log, self.newest_log, self.agreement]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> "Bias":
        """Rebuild a bias."""
        return cls(*values)


NO_BIAS = Bias()
"""Nothing was missed yet."""
