"""Watch for the best plan to change: with a threshold, so that it does not flap."""

from collections.abc import Hashable

from app.planning.plan import Plan
from app.services.plan import PlanAnswer, PlanQuestion, PlanService
from app.services.shelf import Shelf
from app.store import states, versions
from app.store.engine import Database


class PlanWatch:
    """One watcher's view: what it was told last, and whether something moved since.

    `threshold` is the relative change of the best plan's mean latency that is worth telling; another plan
    must beat the one told last by as much in the present context.
    """

    def __init__(
        self, database: Database, shelf: Shelf, plans: PlanService, question: PlanQuestion, threshold: float
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._plans = plans
        self._question = question
        self._threshold = threshold
        self._seen: Hashable = None
        self._told: Plan | None = None

    def poll(self) -> PlanAnswer | None:
        """Return an answer whose first plan is news, else None; plans again only when something moved."""
        seen = self._moved()
        if seen == self._seen:
            return None
        self._seen = seen
        question = self._question
        request = {
            "models": [{"digest": model.digest} for model in question.models],
            "device_id": question.device_id,
        }
        answer = self._plans.answer(question, request)
        if not answer.plans or not self._is_news(answer):
            return None
        self._told = answer.plans[0]
        return answer

    def _moved(self) -> Hashable:
        """Return what changes whenever the device's state or a serving version does."""
        assert self._question.device_id is not None
        with self._database.read() as connection:
            served = frozenset(versions.active_ids(connection).values())
            return served, states.last_change_us(connection, self._question.device_id)

    def _is_news(self, answer: PlanAnswer) -> bool:
        told, best = self._told, answer.plans[0]
        if told is None:
            return True
        if best.plan_id == told.plan_id:
            return self._differs(best.latency_us.mean, told.latency_us.mean)
        now = next((plan for plan in answer.plans if plan.plan_id == told.plan_id), told)
        return best.latency_us.mean < now.latency_us.mean * (1.0 - self._threshold) or self._differs(
            now.latency_us.mean, told.latency_us.mean
        )

    def _differs(self, one_us: float, other_us: float) -> bool:
        return abs(one_us - other_us) > self._threshold * other_us
