"""What stages of a processor cost beyond their kernels, learned from executed plans.

A stage on processor p is taken to last

    dispatch + factor · alone + Σ_s conversion_s · bytes from s
             + Σ_q share_q · (beside_q · alone + per_demand_q · own bytes · bytes a microsecond of q)

where `alone` is the predicted latency of its kernels with nothing beside them. All coefficients are fitted
together, none of them negative, and stay at their priors where executed stages do not determine them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.planning.costs import Contention
from app.planning.executed import StageObservation
from app.planning.robust import Prior, fit

FACTOR_RANGE = (0.5, 2.0)
"""Executed stages move predicted latencies by no more than this."""

LEAST_DISPATCH = 0.25
"""Starting a stage is never thought to cost less than this share of its prior, however noisy the stages."""

_FACTOR = Prior(1.0, 5.0)
_DISPATCH_OBSERVATIONS = 2.0
_NOTHING = Prior(0.0, 1.0)


@dataclass(frozen=True)
class StageCosts:
    """What was learned of one processor's stages from `n` of them; without any, the priors.

    `conversion` gives microseconds a byte for what is fetched from each other processor, paid inside the
    stage; `contention` what each other processor does to it; `factor` scales the kernels' latencies.
    """

    dispatch_us: float
    factor: float = 1.0
    conversion: Mapping[str, float] = field(default_factory=dict)
    contention: Mapping[str, Contention] = field(default_factory=dict)
    n: int = 0


def fit_stages(observations: Sequence[StageObservation], dispatch_us: float) -> StageCosts:
    """Return what these stages of one processor show; `dispatch_us` is its prior."""
    if not observations:
        return StageCosts(dispatch_us)
    sources = sorted(
        {name for item in observations for name, size in item.received_bytes.items() if size > 0}
    )
    others = sorted({name for item in observations for name in item.beside})
    columns = [
        [1.0] * len(observations),
        [item.expected_us for item in observations],
        *([item.received_bytes.get(name, 0.0) for item in observations] for name in sources),
    ]
    for name in others:
        seen = [item.beside.get(name) for item in observations]
        columns.append(
            [
                0.0 if other is None else other.share * item.expected_us
                for item, other in zip(observations, seen, strict=True)
            ]
        )
        columns.append(
            [
                0.0 if other is None else item.moved_bytes * other.demand
                for item, other in zip(observations, seen, strict=True)
            ]
        )
    priors = [Prior(dispatch_us, _DISPATCH_OBSERVATIONS), _FACTOR, *[_NOTHING] * (len(columns) - 2)]
    measured = np.array([item.measured_us for item in observations])
    found = fit(np.array(columns).T, measured, priors).tolist()
    start, factor, rest = found[0], found[1], found[2:]
    beside = rest[len(sources) :]
    return StageCosts(
        dispatch_us=max(start, LEAST_DISPATCH * dispatch_us),
        factor=float(np.clip(factor, *FACTOR_RANGE)),
        conversion=dict(zip(sources, rest, strict=False)),
        contention={
            name: Contention(beside[2 * place], beside[2 * place + 1]) for place, name in enumerate(others)
        },
        n=len(observations),
    )
