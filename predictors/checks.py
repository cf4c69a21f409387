"""What every learner must hold to: small named properties, run over all of them by the tests.

    for check in CHECKS:
        check(LearnerType, material)            # raises AssertionError with what went wrong

A learner is found by being there (`predictors.learner.learners`), so a new one is checked without being
listed anywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.learner import Learner, Prediction
from predictors.run import Run, RunQuery

MOST_BYTES = 4_000_000
MOST_US = 1e13

READS_LABELS = frozenset({Rung.PER_CONDITION.value})
"""Learners that may read an experiment's label."""


@dataclass(frozen=True)
class Material:
    """Runs to check with: calm ones, later ones under changing load, and legal but odd ones."""

    calm: Sequence[Run]
    later: Sequence[Run]
    odd: Sequence[Run]
    _taught: dict[type[Learner], Learner] = field(default_factory=dict, init=False, repr=False, compare=False)

    def taught(self, kind: type[Learner]) -> Learner:
        """Return the learner of all calm and later runs, always the same: ask it, do not teach it more."""
        if kind not in self._taught:
            self._taught[kind] = _taught(kind, self)
        return self._taught[kind]


Kind = type[Learner]
Check = Callable[[Kind, Material], None]


def prediction_is_pure(kind: Kind, material: Material) -> None:
    """Predicting changes nothing, and the same question has the same answer."""
    learner = _fitted(kind, material)
    before = learner.to_bytes()
    queries = [run.query for run in material.later[:20]]
    first = [learner.predict(query) for query in queries]
    assert _same(first, [learner.predict(query) for query in reversed(queries)][::-1])
    assert learner.to_bytes() == before, f"{kind.name}: predict changed the learner"


def predictions_are_legal(kind: Kind, material: Material) -> None:
    """Every prediction is finite, not negative, and has one latency per operator."""
    for learner in (kind(), _fitted(kind, material), material.taught(kind)):
        for run in (*material.later[:30], *material.odd):
            _check_legal(kind, run.query, learner.predict(run.query))


def odd_runs_are_survived(kind: Kind, material: Material) -> None:
    """No legal run, however odd, makes a learner raise or answer nonsense, in calibration or later."""
    unfitted = kind()
    unfitted.fit([])
    learners = (unfitted, _calibrated(kind, material.odd), _fitted(kind, material))
    for learner in learners:
        for run in material.odd:
            learner.learn(run)
            _check_legal(kind, run.query, learner.predict(run.query))
        for run in material.later[:10]:
            _check_legal(kind, run.query, learner.predict(run.query))


def one_sample_is_enough_to_answer(kind: Kind, material: Material) -> None:
    """Answer for all runs after a single one."""
    learner = _calibrated(kind, material.calm[:1])
    for run in material.later[:10]:
        _check_legal(kind, run.query, learner.predict(run.query))


def constant_targets_are_learned(kind: Kind, material: Material) -> None:
    """Where everything always takes the same time, that time is predicted for it."""
    first = material.calm[0]
    same = [replace(first, run_id=f"same-{place}") for place in range(40)]
    learner = _calibrated(kind, same)
    assert abs(np.log(learner.predict(first.query).total_us / first.total_us)) < 0.7, kind.name


def unknown_operators_fall_back(kind: Kind, material: Material) -> None:
    """Predict a type nobody has heard of from its shapes instead of refusing it."""
    strange = Operator("NobodyKnowsThis", ((1, 8, 8, 8),), ((1, 8, 8, 8),))
    query = replace(material.later[0].query, model="never seen", operators=(strange, strange))
    _check_legal(kind, query, _fitted(kind, material).predict(query))


def bytes_are_the_learner(kind: Kind, material: Material) -> None:
    """Make a copy from bytes that predicts exactly the same and has the same bytes."""
    learner = material.taught(kind)
    copy = kind.from_bytes(learner.to_bytes())
    assert copy.to_bytes() == learner.to_bytes(), f"{kind.name}: bytes do not survive a round trip"
    queries = [run.query for run in (*material.later[:20], *material.odd)]
    assert _same([learner.predict(q) for q in queries], [copy.predict(q) for q in queries])


def learning_is_deterministic(kind: Kind, material: Material) -> None:
    """Make the same learner of the same runs."""
    assert _taught(kind, material).to_bytes() == material.taught(kind).to_bytes(), kind.name


def labels_are_not_read(kind: Kind, material: Material) -> None:
    """Hiding the experiments' labels changes no prediction, but where labels are the point."""
    if kind.name in READS_LABELS:
        return
    hidden = Material(
        [_unlabelled(run) for run in material.calm], [_unlabelled(run) for run in material.later], ()
    )
    told, untold = material.taught(kind), _taught(kind, hidden)
    queries = [run.query for run in material.later[-20:]]
    assert _same(
        [told.predict(q) for q in queries], [untold.predict(replace(q, condition=None)) for q in queries]
    )


def memory_is_bounded(kind: Kind, material: Material) -> None:
    """Networks that come and go do not fill the memory."""
    learner = _fitted(kind, material)
    for place in range(300):
        run = material.later[place % len(material.later)]
        passing = replace(run.query, model=f"passing-{place}")
        learner.learn(replace(run, run_id=f"passing-{place}", query=passing))
    size = len(learner.to_bytes())
    assert size < MOST_BYTES, f"{kind.name}: {size} bytes"


CHECKS: tuple[Check, ...] = (
    prediction_is_pure,
    predictions_are_legal,
    odd_runs_are_survived,
    one_sample_is_enough_to_answer,
    constant_targets_are_learned,
    unknown_operators_fall_back,
    bytes_are_the_learner,
    learning_is_deterministic,
    labels_are_not_read,
    memory_is_bounded,
)
"""Every property."""

WITHOUT_PREDICTING: tuple[Check, ...] = (learning_is_deterministic, memory_is_bounded)
"""Those that look at a learner's bytes alone: kinds that learn by the same code need them once."""


def learning_code(kind: Kind) -> tuple[object, ...]:
    """Return the functions by which a kind becomes what it is; equal where kinds only predict differently."""
    return kind.__init__, kind.fit, kind.learn, kind.to_bytes


def _calibrated(kind: Kind, runs: Sequence[Run]) -> Learner:
    learner = kind()
    learner.fit(runs)
    return learner


def _fitted(kind: Kind, material: Material) -> Learner:
    return _calibrated(kind, material.calm)


def _taught(kind: Kind, material: Material) -> Learner:
    learner = _fitted(kind, material)
    for run in material.later:
        learner.learn(run)
    return learner


def _unlabelled(run: Run) -> Run:
    return replace(run, query=replace(run.query, condition=None))


def _same(ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> bool:
    return all(
        one.total_us == other.total_us and np.array_equal(one.operators_us, other.operators_us)
        for one, other in zip(ours, theirs, strict=True)
    )


def _check_legal(kind: Kind, query: RunQuery, prediction: Prediction) -> None:
    assert 0.0 <= prediction.total_us < MOST_US, f"{kind.name}: total {prediction.total_us}"
    assert len(prediction.operators_us) == len(query.operators), f"{kind.name}: wrong number of operators"
    assert np.all(np.isfinite(prediction.operators_us)), f"{kind.name}: an operator without a number"
    assert np.all(prediction.operators_us >= 0.0), f"{kind.name}: a negative operator"
