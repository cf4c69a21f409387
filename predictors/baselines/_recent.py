"""What the purely reactive baselines remember: a short history per device and model, bounded in number."""

import json
from collections.abc import Sequence
from typing import Self

from predictors.baselines._profile import Profile, as_bytes, model_key, prediction
from predictors.learner import Prediction
from predictors.run import Run, RunQuery

MOST_HISTORIES = 4096
"""The history that waited longest for a run is forgotten first."""


class RecentLevels:
    """Base of learners that answer with a summary of a model's own recent runs on the same device.

    A model without history is answered by the calm profile. Subclasses say how a run updates a history and
    which level follows from one.
    """

    def __init__(
        self, profile: Profile | None = None, histories: dict[str, list[float]] | None = None
    ) -> None:
        self._profile = profile or Profile()
        self._histories = histories or {}

    def updated(self, history: Sequence[float], total_us: float) -> list[float]:
        """Return a device's history of a model (empty at first) after one more run."""
        raise NotImplementedError

    def level_us(self, history: Sequence[float]) -> float:
        """Return the latency that a history of at least one run promises."""
        raise NotImplementedError

    def fit(self, runs: Sequence[Run]) -> None:
        """Keep the calm profile for models without history."""
        self._profile = Profile.fit(runs)

    def predict(self, query: RunQuery) -> Prediction:
        """Return the level of the model's history, spread over its operators as in the profile."""
        calm = self._profile.predict(query)
        history = self._histories.get(_place(query))
        return calm if history is None else prediction(calm.operators_us, self.level_us(history))

    def learn(self, run: Run) -> None:
        """Take one run's total into its model's history."""
        place = _place(run.query)
        history = self._histories.pop(place, [])
        self._histories[place] = self.updated(history, run.total_us)
        if len(self._histories) > MOST_HISTORIES:
            del self._histories[next(iter(self._histories))]

    def to_bytes(self) -> bytes:
        """Return the learner as JSON."""
        histories = [[place, history] for place, history in self._histories.items()]
        return as_bytes({"profile": self._profile.to_json(), "histories": histories})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a learner from its bytes."""
        content = json.loads(data)
        histories = {place: [float(value) for value in history] for place, history in content["histories"]}
        return cls(Profile.from_json(content["profile"]), histories)


def _place(query: RunQuery) -> str:
    return f"{query.device_id}|{query.key.processor}|{model_key(query)}"
