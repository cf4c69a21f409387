"""What the processors of one fleet tell each other: calm operator samples, pooled for whoever has few."""

from collections.abc import Iterable, Sequence

import numpy as np

from predictors.calm_fit import operator_samples
from predictors.operator_model import OperatorModel, OperatorSample
from predictors.quarantine import honest_runs
from predictors.run import PredictorKey, Run
from predictors.transfer import Pool, kind_of
from predictors.version import PredictorVersion

_KEPT_SAMPLES = 600


class Siblings:
    """The samples of every profiled processor; stored versions bring those that they were kept with."""

    def __init__(self, versions: Iterable[PredictorVersion] = ()) -> None:
        self._samples: dict[PredictorKey, Sequence[OperatorSample]] = {
            version.key: version.samples for version in versions if version.samples
        }
        self._pools: dict[tuple[str, str], Pool] = {}
        self._starts: dict[PredictorKey, OperatorModel] = {}

    def note(self, key: PredictorKey, calm_runs: Sequence[Run]) -> None:
        """Take in what a processor measured in calm, instead of what it had measured before."""
        self._samples[key] = operator_samples(honest_runs(calm_runs))
        kind = kind_of(key)
        self._pools.pop(kind, None)
        self._starts = {other: model for other, model in self._starts.items() if kind_of(other) != kind}

    def start(self, key: PredictorKey) -> OperatorModel | None:
        """Return what the others tell of a processor, None where it is the only one profiled.

        The same object as long as nothing new was told.
        """
        if key in self._starts:
            return self._starts[key]
        if not self._samples.keys() - {key}:
            return None
        kind = kind_of(key)
        if kind not in self._pools:
            self._pools[kind] = Pool.fit(
                {other: own for other, own in self._samples.items() if kind_of(other) == kind}
            )
        self._starts[key] = self._pools[kind].start(key)
        return self._starts[key]

    def kept(self, key: PredictorKey) -> tuple[OperatorSample, ...]:
        """Return a bounded, even choice of a processor's own samples, to be stored with its version."""
        samples = self._samples.get(key, ())
        if not samples:
            return ()
        places = np.unique(np.linspace(0, len(samples) - 1, _KEPT_SAMPLES).astype(int))
        return tuple(samples[place] for place in places.tolist())
