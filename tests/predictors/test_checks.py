import pytest

from predictors.checks import CHECKS, Check, Material
from predictors.learner import Learner, baselines, learners
from tests.odd_runs import odd_runs
from tests.synthetic import World


@pytest.fixture(scope="module")
def material() -> Material:
    world = World(seed=4)
    return Material(world.calm(60), world.changing(100, episode=20), odd_runs())


@pytest.mark.parametrize("kind", learners(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_learner_keeps_the_contract(check: Check, kind: type[Learner], material: Material) -> None:
    check(kind, material)


def test_rungs_and_baselines_are_all_found() -> None:
    names = [kind.name for kind in learners()]
    assert {"calm", "per_condition", "context_frozen", "state_only", "runtime"} <= set(names)
    assert len(names) == len(set(names)) == len(baselines()) + 5
