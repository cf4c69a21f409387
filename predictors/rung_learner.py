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

    rung: ClassVar[Rung]

    def __init__(
        self, versions: Iterable[PredictorVersion] = (), states: Mapping[Place, DeviceState] | None = None
    ) -> None:
        self._engine = TestThenTrain(versions=versions, states=states, rungs=(self.rung, Rung.RUNTIME))

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


class CalmLearner(RungLearner):
    """The calm rung."""

    name: ClassVar[str] = Rung.CALM.value
    rung = Rung.CALM


class PerConditionLearner(RungLearner):
    """The per-condition rung, the only learner that may read labels."""

    name: ClassVar[str] = Rung.PER_CONDITION.value
    rung = Rung.PER_CONDITION


class ContextFrozenLearner(RungLearner):
    """The context-aware rung, frozen after its first stretch."""

    name: ClassVar[str] = Rung.CONTEXT_FROZEN.value
    rung = Rung.CONTEXT_FROZEN


class StateOnlyLearner(RungLearner):
    """The calm rung times the fast state."""

    name: ClassVar[str] = Rung.STATE_ONLY.value
    rung = Rung.STATE_ONLY


class RuntimeLearner(RungLearner):
    """Everything, learning."""

    name: ClassVar[str] = Rung.RUNTIME.value
    rung = Rung.RUNTIME


RUNGS: tuple[type[RungLearner], ...] = (
    CalmLearner,
    PerConditionLearner,
    ContextFrozenLearner,
    StateOnlyLearner,
    RuntimeLearner,
)
"""One learner for each rung."""
