"""What the predictors behind a plan know of the models in it, processor by processor."""

from collections.abc import Mapping, Sequence

from app.services.predict import OFFLINE, RUNTIME
from app.services.targets import Processor
from predictors.forecast import Coverage, Rung
from predictors.graph import Operator
from predictors.run import RunQuery
from predictors.thinness import cover


def plan_coverage(
    used: Sequence[Processor], networks: Mapping[str, tuple[Operator, ...]]
) -> dict[str, dict[Rung, Coverage]]:
    """Return by processor and rung what is known of all networks, given as kernels by digest."""
    return {
        place.info.name: {rung: _all(place, networks, rung) for rung in (OFFLINE, RUNTIME)} for place in used
    }


def _all(place: Processor, networks: Mapping[str, tuple[Operator, ...]], rung: Rung) -> Coverage:
    version = place.serving.version
    parts = [
        cover(version, RunQuery(place.key, "", digest, 0, kernels, {}, profiled=False), rung)
        for digest, kernels in networks.items()
    ]
    if len(parts) == 1:
        return parts[0]
    count = max(sum(map(len, networks.values())), 1)
    weighted = zip(parts, networks.values(), strict=True)
    return Coverage(
        sum(part.learned * len(kernels) for part, kernels in weighted) / count,
        tuple(sorted({name for part in parts for name in part.fallback})),
        tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
    )
