from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from predictors.checks import CHECKS, WITHOUT_PREDICTING, Check, Material, learning_code
from predictors.learner import Learner, baselines, learners
from tests.odd_runs import odd_runs
from tests.synthetic import World


@pytest.fixture(scope="module")
def material() -> Material:
    world = World(seed=4)
    return Material(world.calm(60), world.changing(100, episode=20), odd_runs())


def cases() -> Iterator[ParameterSet]:
    """Return every check of every learner, learner by learner: its checks share what it learned."""
    learned_by = set()
    for kind in learners():
        known = learning_code(kind) in learned_by
        learned_by.add(learning_code(kind))
        for check in CHECKS:
            if not (known and check in WITHOUT_PREDICTING):
                yield pytest.param(check, kind, id=f"{kind.name}-{check.__name__}")


@pytest.mark.parametrize(("check", "kind"), list(cases()))
def test_every_learner_keeps_the_contract(check: Check, kind: type[Learner], material: Material) -> None:
    check(kind, material)


def test_rungs_and_baselines_are_all_found() -> None:
    names = [kind.name for kind in learners()]
    assert {"calm", "per_condition", "context_frozen", "state_only", "runtime"} <= set(names)
    assert len(names) == len(set(names)) == len(baselines()) + 5
