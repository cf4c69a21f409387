"""What an executed plan did, in the form in which `POST /v1/plans/{plan_id}/outcomes` takes it."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from collectors.clock import rfc3339
from collectors.errors import PlanError
from collectors.executor.execution import Execution


def outcome(
    execution: Execution,
    started_at_us: int,
    context: Mapping[str, float | bool],
    *,
    propensity: float = 1.0,
    alternatives: Sequence[str] = (),
    **labels: str | Sequence[str],
) -> dict[str, Any]:
    """Return the outcome of one execution; `propensity` is the chance with which the plan was chosen.

    `labels` may name the `condition`, the `episode` that interleaved executions share, the `device_id`, and
    the predictors that put the plan first (`chosen_by`).

    Raises:
        PlanError: the plan itself was not executed, so nothing of it was measured.

    """
    if execution.fallback_reason is not None:
        raise PlanError(f"not the plan was executed but the whole model: {execution.fallback_reason}")
    return {
        "outcome_id": str(uuid.uuid4()),
        "started_at": rfc3339(started_at_us),
        "context": dict(context),
        "latency_us": execution.latency_us,
        "propensity": propensity,
        "alternatives": list(alternatives),
        **labels,
        "stages": [
            {
                "id": timing.id,
                "processor": timing.processor,
                "start_us": timing.start_us,
                "end_us": timing.end_us,
                "waited_us": timing.waited_us,
            }
            for timing in execution.stages
        ],
    }
