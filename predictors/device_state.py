"""The fast state of one device's processor: how far its newest runs were from calm.

It is absorbed in constant time inside the ingest path, is one small row of JSON (under 1 KB), and is
immutable: absorbing returns a new state.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from math import exp

from predictors.run import Run

RECENT = 6
"""How many newest residuals are kept one by one."""

RATES = (0.5, 0.15, 0.03)
"""Weights of the newest run in the fast, middle and slow moving averages."""

FORGET_AFTER_US = 5_000_000.0
"""A silent device forgets: an average counts exp(-silence / this) of itself."""

_MODELS = 12


@dataclass(frozen=True, slots=True)
class Recent:
    """One absorbed run: when it ended, its log calm length, its residual log(total / calm)."""

    ended_at_us: int
    log_calm_us: float
    residual: float


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Moving averages and the newest residuals of one (device, processor).

    `averages` holds one moving average of log(total / calm) for each of `RATES`; `models` the newest
    (residual, run number) of networks that the version in use has learned from, by a short digest;
    `scale_log` widens or narrows the intervals (adaptive conformal inference).
    """

    runs: int = 0
    updated_at_us: int = 0
    averages: tuple[float, ...] = (0.0,) * len(RATES)
    recent: tuple[Recent, ...] = ()
    models: tuple[tuple[str, float, int], ...] = ()
    scale_log: float = 0.0

    @classmethod
    def initial(cls) -> "DeviceState":
        """Return the state of a device that has sent nothing yet: no slowdown is known."""
        return cls()

    def absorb(self, run: Run, log_calm_us: float, residual: float, *, known: bool) -> "DeviceState":
        """Return the state after one more run; `residual` is log(total / calm)."""
        ended = max(run.ended_at_us, self.updated_at_us)
        weight = self.memory(run.query.started_at_us)
        averages = tuple(
            (1.0 - rate) * weight * old + rate * residual if self.runs else residual * max(rate, 0.5)
            for rate, old in zip(RATES, self.averages, strict=True)
        )
        models = self.models
        if known:
            short = short_name(run.query.model)
            models = (*(m for m in models if m[0] != short), (short, round(residual, 4), self.runs))[
                -_MODELS:
            ]
        newest = Recent(ended, round(log_calm_us, 4), round(residual, 4))
        return replace(
            self,
            runs=self.runs + 1,
            updated_at_us=ended,
            averages=tuple(round(value, 5) for value in averages),
            recent=(*self.recent, newest)[-RECENT:],
            models=models,
        )

    def memory(self, at_us: int) -> float:
        """Return the share (0 to 1) of the averages that still counts; a clock gone back counts 1."""
        return exp(-max(at_us - self.updated_at_us, 0) / FORGET_AFTER_US)

    def slowdown_log(self, at_us: int) -> float:
        """Return the expected log slowdown against calm, forgetting towards 0 while the device is silent."""
        return self.averages[0] * self.memory(at_us)

    def to_json(self) -> str:
        """Return the state as compact JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "DeviceState":
        """Rebuild a state; fields that an older writer did not know take their defaults."""
        data = json.loads(text)
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["averages"] = tuple(values.get("averages", (0.0,) * len(RATES)))
        values["recent"] = tuple(Recent(**item) for item in values.get("recent", ()))
        values["models"] = tuple((str(m), float(r), int(n)) for m, r, n in values.get("models", ()))
        return cls(**values)


def short_name(model: str) -> str:
    """Return eight characters that stand for a model's digest or name."""
    return model.removeprefix("sha256:")[:8]
