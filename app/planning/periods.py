"""Repeat periodic models over one hyper-period.

The hyper-period is the least common multiple of the periods (in whole microseconds). Where that would take
too many jobs the horizon is the longest period instead, so that every model still runs at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, lcm

from app.planning.problem import ModelRequest

MAX_JOBS = 48


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs of a request: each a model to run once; `model_of` names the requested model of each job."""

    requests: tuple[ModelRequest, ...]
    model_of: tuple[int, ...]
    horizon_us: float | None
    note: str = ""


def unrolled(models: Sequence[ModelRequest]) -> Jobs:
    """Return one job a model and period; models without a period run once.

    A job comes after the jobs of the models named by `after` that are released with it or, where those are
    less frequent, last before it.
    """
    periods = [model.period_us for model in models if model.period_us]
    if not periods:
        return Jobs(tuple(models), tuple(range(len(models))), None)
    horizon = float(lcm(*[max(1, round(period)) for period in periods]))
    note = ""
    if _count(models, horizon) > MAX_JOBS:
        horizon = max(periods)
        note = f"the hyper-period has more than {MAX_JOBS} jobs; planned over the longest period instead"
    if _count(models, horizon) > MAX_JOBS:
        raise ValueError(f"the periods differ too much: one of the longest holds over {MAX_JOBS} jobs")
    first: list[int] = []
    model_of: list[int] = []
    repeats = [_repeats(model, horizon) for model in models]
    for index, count in enumerate(repeats):
        first.append(len(model_of))
        model_of += [index] * count
    requests = []
    for index, model in enumerate(models):
        for repeat in range(repeats[index]):
            release = model.release_us + repeat * (model.period_us or 0.0)
            after = tuple(
                first[other] + min(repeats[other] - 1, repeat * repeats[other] // repeats[index])
                for other in model.after
            )
            requests.append(replace(model, release_us=release, after=after, period_us=None))
    # Jobs are numbered in order of release, which is the order in which sequential plans run them.
    order = sorted(range(len(requests)), key=lambda job: (requests[job].release_us, job))
    place = {job: position for position, job in enumerate(order)}
    ordered = tuple(
        replace(requests[job], after=tuple(place[other] for other in requests[job].after)) for job in order
    )
    return Jobs(ordered, tuple(model_of[job] for job in order), horizon, note)


def _repeats(model: ModelRequest, horizon_us: float) -> int:
    return max(1, ceil(horizon_us / model.period_us - 1e-9)) if model.period_us else 1


def _count(models: Sequence[ModelRequest], horizon_us: float) -> int:
    return sum(_repeats(model, horizon_us) for model in models)
