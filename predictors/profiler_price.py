"""What the profiler costs: how much longer runs take under it, and how much of a run its node timings tell.

Estimated in calm conditions, from networks that were measured both ways, and from the laws of profiled and
of unprofiled runs (`predictors.calm_model`).
"""

from collections import defaultdict
from math import exp
from typing import Any

import numpy as np

from predictors.calm_model import CalmModel

LENGTHS_US = (3_000.0, 10_000.0, 30_000.0)
"""Edges between the classes of unprofiled run lengths."""

ENOUGH_NETWORKS = 3
"""The laws tell a price per run from one per operator, which takes more networks than unknowns."""

ENOUGH_RUNS = 3
"""One run in each way tells how the machine fared then, not what the profiler cost."""

_NAMES = ("under_3_ms", "3_to_10_ms", "10_to_30_ms", "over_30_ms")


def profiler_price(calm: CalmModel) -> dict[str, Any] | None:
    """Return the price; None where no network was measured with and without the profiler.

    `per_node_us` and `per_run_us` are what the laws differ by, `share_of_run` is the median over `networks`
    of (profiled - unprofiled) / unprofiled, from so many `profiled_runs` and `unprofiled_runs`. It is
    `too_thin` where fewer than `ENOUGH_NETWORKS` were timed `ENOUGH_RUNS` times in both ways. By class of
    length: how many networks, `slowdown` (how much longer a profiled run takes, as a fraction of the
    unprofiled one) and `node_share` (sum of node timings over the profiled run).
    """
    timed = [known for known in calm.known.values() if known.operators_us > 0.0 and all(known.count)]
    if not timed:
        return None
    classes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for known in timed:
        unprofiled_us, profiled_us = map(exp, known.log_us)
        place = int(np.searchsorted(LENGTHS_US, unprofiled_us, side="right"))
        classes[_NAMES[place]].append((profiled_us / unprofiled_us - 1.0, known.operators_us / profiled_us))
    slowdowns = [slowdown for own in classes.values() for slowdown, _ in own]
    return {
        "per_node_us": round(calm.profiled.per_node_us - calm.unprofiled.per_node_us, 3),
        "per_run_us": round(calm.profiled.start_us - calm.unprofiled.start_us, 3),
        "share_of_run": round(float(np.median(slowdowns)), 4),
        "networks": len(timed),
        "profiled_runs": sum(known.count[1] for known in timed),
        "unprofiled_runs": sum(known.count[0] for known in timed),
        "too_thin": sum(min(known.count) >= ENOUGH_RUNS for known in timed) < ENOUGH_NETWORKS,
        "by_length": {
            name: {
                "networks": len(classes[name]),
                "slowdown": round(float(np.mean([slowdown for slowdown, _ in classes[name]])), 4),
                "node_share": round(float(np.mean([share for _, share in classes[name]])), 4),
            }
            for name in _NAMES
            if name in classes
        },
    }
