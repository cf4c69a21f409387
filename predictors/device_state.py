"""The fast state of one device's processor: how far its newest runs were from calm.

It is absorbed in constant time inside the ingest path, is one small row of JSON (under 1 KB), and is
immutable: absorbing returns a new state.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log
from typing import Any

from predictors.bias import NO_BIAS, Bias
from predictors.conformal import NO_WIDTHS, Widths
from predictors.run import Run, RunQuery
from predictors.usual import NOTHING_READ, Readings, moved, readings

RECENT = 12
"""How many newest runs are kept one by one."""

RATES = (0.5, 0.15, 0.03)
"""Weights of the newest run in the fast, middle and slow moving averages."""

FORGET_AFTER_US = 5_000_000.0
"""A silent device forgets: after this long its state counts a half, after ten times as long a hundredth."""

_FIELDS = {"n", "at", "avg", "recent", "models", "widths", "ref", "bias", "trees", "usual", "soft"}
_MODELS = 6
_MOST_RESIDUAL = 9.0


@dataclass(frozen=True, slots=True)
class Recent:
    """One absorbed run: end, log calm length, residual log(total / calm)."""

    ended_at_us: int
    log_calm_us: float
    residual: float


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Moving averages and the newest residuals of one (device, processor) since its last break.

    `averages` holds one moving average of log(total / calm) for each of `RATES`; `recent` the newest runs,
    oldest first; `models` the newest (short digest, residual, run number) of networks that the version in
    use has learned from; `widths` widen or narrow intervals (adaptive conformal inference);
    `reference` tells which calm profile the residuals are relative to (empty before the first run);
    `bias` is how far the runtime model has lately been off, `trees` tells which one that was;
    `usual` is what was read before the newest runs; `software` marks the versions below the model.
    """

    runs: int = 0
    updated_at_us: int = 0
    averages: tuple[float, ...] = (0.0,) * len(RATES)
    recent: tuple[Recent, ...] = ()
    models: tuple[tuple[str, float, int], ...] = ()
    widths: Widths = NO_WIDTHS
    reference: str = ""
    bias: Bias = NO_BIAS
    trees: str = ""
    usual: Readings = NOTHING_READ
    software: tuple[tuple[str, str], ...] = ()

    @classmethod
    def initial(cls) -> "DeviceState":
        """Return the state of a device that has sent nothing yet: no slowdown is known."""
        return cls()

    def absorb(
        self, run: Run, log_calm_us: float, residual: float, *, known: bool, reference: str
    ) -> "DeviceState":
        """Return the state after one more run; `residual` is log(total / calm)."""
        residual = round(min(max(residual, -_MOST_RESIDUAL), _MOST_RESIDUAL), 4)
        ended = max(run.ended_at_us, self.updated_at_us)
        averages = tuple(
            round((1.0 - rate) * old + rate * residual, 5) if self.recent else residual
            for rate, old in zip(RATES, self.averages, strict=True)
        )
        models = self.models
        if known:
            short = short_name(run.query.model)
            models = (*(item for item in models if item[0] != short), (short, residual, self.runs))[-_MODELS:]
        newest = Recent(ended, round(log_calm_us, 4), residual)
        recent = (*self.recent, newest)[-RECENT:]
        return replace(
            self,
            runs=self.runs + 1,
            updated_at_us=ended,
            averages=averages,
            recent=recent,
            models=models,
            reference=reference,
            usual=moved(self.usual, readings(run.query.context)),
        )

    def anew(self) -> "DeviceState":
        """Return the state after a break: what was measured and read before it counts no more."""
        return DeviceState(
            runs=self.runs,
            updated_at_us=self.updated_at_us,
            widths=self.widths,
            reference=self.reference,
            trees=self.trees,
            software=self.software,
        )

    def memory(self, at_us: int) -> float:
        """Return the share (0 to 1) of the state that still counts; a clock gone back counts 1."""
        if not self.runs:
            return 0.0
        return 1.0 / (1.0 + (max(at_us - self.updated_at_us, 0) / FORGET_AFTER_US) ** 2)

    def slowdown_log(self, at_us: int) -> float:
        """Return the expected log slowdown against calm, forgetting towards 0 while the device is silent."""
        return self.averages[0] * self.memory(at_us)

    def to_json(self) -> str:
        """Return the state as compact JSON; the recent runs as one flat list, ends relative to the newest."""
        flat: list[float] = []
        for item in self.recent:
            end = item.ended_at_us - self.updated_at_us
            flat += [end, item.log_calm_us, item.residual]
        data = {
            "n": self.runs,
            "at": self.updated_at_us,
            "avg": self.averages,
            "recent": flat,
            "models": self.models,
            "widths": self.widths.to_list(),
            "ref": self.reference,
            "bias": self.bias.to_list(),
            "trees": self.trees,
            "usual": self.usual,
            "soft": dict(self.software),
        }
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "DeviceState":
        """Rebuild a state; text that another layout wrote gives the initial state."""
        data: dict[str, Any] = json.loads(text)
        if set(data) != _FIELDS:
            return cls.initial()
        flat, at = data["recent"], data["at"]
        recent = tuple(Recent(at + flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3))
        models = tuple((str(m), float(r), int(n)) for m, r, n in data["models"])
        widths = Widths.from_list(data["widths"])
        software = tuple((str(name), str(mark)) for name, mark in data["soft"].items())
        return cls(
            data["n"],
            at,
            tuple(data["avg"]),
            recent,
            models,
            widths,
            data["ref"],
            Bias.from_list(data["bias"]),
            data["trees"],
            tuple(data["usual"]),
            software,
        )


@lru_cache(maxsize=4_096)
def short_name(model: str) -> str:
    """Return eight characters that stand for a model's digest or name.

    Names are hashed: `mobilenet_v1` and `mobilenet_v2` begin alike, and are two networks.
    """
    digest = (
        model.removeprefix("sha256:")
        if model.startswith("sha256:")
        else hashlib.sha256(model.encode()).hexdigest()
    )
    return digest[:8]


def ratio_of_sums_log(items: tuple[Recent, ...], weights: list[float]) -> float:
    """Return log(sum of totals / sum of calm lengths) of weighted runs: long ones tell the most."""
    calm = [weight * exp(item.log_calm_us) for item, weight in zip(items, weights, strict=True)]
    total = sum(length * exp(item.residual) for item, length in zip(items, calm, strict=True))
    length = sum(calm)
    return log(total / length) if total > 0.0 and length > 1e-3 else float("nan")


def group_of(query: RunQuery) -> str:
    """Return the name under which a network's own offset is kept: the network and how it was timed."""
    return f"{short_name(query.model)}{'+' if query.profiled else '-'}"
