"""Our own rungs as learners, so that every check of the contract runs over them too."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from predictors.device_state import DeviceState
from predictors.evaluate import Place, TestThenTrain
from predictors.forecast import Rung
from predictors.learner import Prediction
from predictors.run import PredictorKey, Run, RunQuery
from predictors.version import PredictorVersion


class RungLearner:
    """One rung behind the learner contract: the versions of its keys plus the states of their devices.

    Its bytes hold all that predictions rest on; rows that wait for the next refit are not among them.
    """

    name: ClassVar[str]
    rung: ClassVar[Rung]

    def __init__(
        self, versions: Iterable[PredictorVersion] = (), states: Mapping[Place, DeviceState] | None = None
    ) -> None:
        self._engine = TestThenTrain(versions=versions, states=states, rungs=(Rung.RUNTIME,))

    def fit(self, runs: Sequence[Run]) -> None:
        """Calibrate on calm runs."""
        self._engine.calibrate(runs)

    def predict(self, query: RunQuery) -> Prediction:
        """Return the rung's median and its operators' means."""
        state = self._engine.state(query.device_id, query.key)
        forecast = self._engine.version(query.key).forecast(query, state, (self.rung,))[self.rung]
        return Prediction(forecast.total.p50_us, forecast.operators_us)

    def learn(self, run: Run) -> None:
        """Take one finished run in."""
        self._engine.step(run)
        self._engine.flush()

    def to_bytes(self) -> bytes:
        """Return versions and states as JSON."""
        content = {
            "versions": [version.to_bytes().decode() for version in self._engine.versions()],
            "states": [
                [device_id, key.soc, key.processor, key.framework, state.to_json()]
                for (device_id, key), state in self._engine.states().items()
            ],
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a learner from its bytes."""
        content: dict[str, Any] = json.loads(data)
        return cls(
            [PredictorVersion.from_bytes(text.encode()) for text in content["versions"]],
            {
                (device_id, PredictorKey(*key)): DeviceState.from_json(text)
                for device_id, *key, text in content["states"]
            },
        )


def _learner_of(its_rung: Rung) -> type[RungLearner]:
    class LearnerOfOneRung(RungLearner):
        name = its_rung.value
        rung = its_rung

    return LearnerOfOneRung


RUNGS: tuple[type[RungLearner], ...] = tuple(map(_learner_of, Rung))
"""One learner for each rung of the ladder."""
