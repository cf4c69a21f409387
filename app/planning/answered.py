"""A plan in the form in which `/v1/plan` answers it and executors read it."""

from typing import Any

from app.planning.plan import Plan, Stage


def as_answered(plan: Plan) -> dict[str, Any]:
    """Return a plan's fields by name, its stages with their splits as ranges."""
    return {
        **{name: getattr(plan, name) for name in plan.__dataclass_fields__},
        "stages": list(map(_stage, plan.stages)),
    }


def _stage(stage: Stage) -> dict[str, Any]:
    split = stage.split
    return {
        **{name: getattr(stage, name) for name in stage.__dataclass_fields__},
        "split": None if split is None else {"dimension": split.dimension, "range": [split.low, split.high]},
    }
