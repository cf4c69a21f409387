"""Every strategy, discovered automatically, passes every check on generated problems."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from app.planning.checks import Check, all_checks
from app.planning.effort import Effort
from app.planning.problem import Problem
from app.planning.strategy import ImpossibleError, all_strategies
from tests.planning_cases import problems

# Shrinking a counterexample would take minutes; the first one found is small anyway.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.mark.parametrize("name", all_strategies())
@settings(max_examples=20, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(problem=problems())
def test_every_strategy_passes_every_check(name: str, problem: Problem) -> None:
    strategy = all_strategies()[name]
    try:
        drafts = strategy.propose(problem, Effort())
    except ImpossibleError as error:
        assert str(error)  # noqa: PT017
        return
    assert drafts
    for draft in drafts[:4]:
        for check in all_checks():
            check(problem, strategy, draft)


def test_checks_are_discovered() -> None:
    names = {check.__name__ for check in all_checks()}
    assert "check_covers_each_kernel_once" in names
    assert len(names) >= 6
    assert all(isinstance(check.__doc__, str) for check in all_checks())
    assert Check is not None
