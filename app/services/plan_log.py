"""Keeps what was handed out: plans, what was foreseen of them whenever that moved, and draws."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import to_builtins

from app.planning.plan import Plan
from app.services.explore import Choice
from app.store import draws, forecasts, plans
from app.store.draws import Draw
from app.store.engine import Database

REMEMBERED = 10_000
MOVED = 0.01
"""Relative change of a forecast that is worth storing it anew."""

Forecast = dict[str, Any]


class PlanLog:
    """Writes only what is new: asking again in the same state costs no transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[tuple[str, str | None, bool], Forecast] = OrderedDict()

    def keep(
        self,
        handed_out: Sequence[Plan],
        choice: Choice | None,
        factors: Mapping[str, float],
        *,
        device_id: str | None,
        request: Mapping[str, Any],
        by_runtime: bool = True,
    ) -> None:
        """Store what an answer hands out.

        `factors` are those that executed stages had taught by processor: they are taken out of what is
        foreseen of the kernels, so that what is learned next does not rest on itself. Only plans proposed
        `by_runtime`, the runtime predictor, are foreseen in its name.
        """
        foreseen = {plan.plan_id: _forecast(plan, factors) for plan in handed_out}
        news = {
            plan_id: content
            for plan_id, content in foreseen.items()
            if _moved(self._known.get((plan_id, device_id, by_runtime)), content)
        }
        drawn = choice is not None and choice.seed is not None
        if not news and not drawn:
            return
        with self._database.write() as connection:
            new = [to_builtins(plan) for plan in handed_out if plan.plan_id in news]
            plans.put_plans(connection, request, device_id, new)
            if by_runtime:
                forecasts.put(connection, device_id, news)
            if choice is not None and choice.seed is not None and choice.share is not None:
                draws.put(
                    connection,
                    Draw(
                        choice.seed,
                        choice.plan_id,
                        device_id,
                        choice.share,
                        choice.explored,
                        choice.propensity,
                        choice.alternatives,
                    ),
                )
        self._known.update({(plan_id, device_id, by_runtime): content for plan_id, content in news.items()})
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _forecast(plan: Plan, factors: Mapping[str, float]) -> Forecast:
    compute_us: dict[str, float] = {}
    for stage in plan.stages:
        alone = stage.compute_us / factors.get(stage.processor, 1.0)
        compute_us[stage.processor] = compute_us.get(stage.processor, 0.0) + alone
    latency = plan.latency_us
    return {
        "strategy": plan.strategy,
        "requires_retraining": plan.requires_retraining,
        "mean_us": latency.mean,
        "p50_us": latency.p50,
        "p90_us": latency.p90,
        "p99_us": latency.p99,
        "offline_us": plan.offline_latency_us,
        "compute_us": compute_us,
    }


def _moved(before: Forecast | None, now: Forecast) -> bool:
    if before is None:
        return True
    pairs = [(before[name], now[name]) for name in ("mean_us", "p90_us", "offline_us")]
    pairs += [(before["compute_us"].get(name, 0.0), value) for name, value in now["compute_us"].items()]
    return any(abs(new - old) > MOVED * abs(old) for old, new in pairs)
