"""Hand-overs between two processors as a start and a rate, learned from those that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.planning.costs import Transfer
from app.planning.robust import Prior, fit

PRIOR_OBSERVATIONS = 2.0
"""Measured hand-overs that the prior is worth."""

_LEAST_US = 0.1
"""A hand-over is never thought to be free: then plans would not tell where one is."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """One measured hand-over or copy: how long after its end a result could be read on the other side."""

    source: str
    target: str
    size_bytes: float
    latency_us: float


def fit_transfer(observations: Sequence[HandOver], prior: Transfer) -> Transfer:
    """Return latency + bytes / bandwidth of a pair of processors, by robust regression from a prior."""
    size = np.array([item.size_bytes for item in observations], dtype=np.float64)
    measured = np.array([item.latency_us for item in observations], dtype=np.float64)
    start_us, us_per_byte = fit(
        np.column_stack([np.ones(len(size)), size]),
        measured,
        [Prior(prior.latency_us, PRIOR_OBSERVATIONS), Prior(prior.us_per_byte, PRIOR_OBSERVATIONS)],
    )
    return Transfer(max(float(start_us), _LEAST_US), float(us_per_byte))
