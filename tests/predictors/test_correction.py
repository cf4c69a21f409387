import json

import numpy as np
import pytest

from predictors.correction import MOST_POINTS, OWN, SHARED, Correction
from predictors.graph import Operator
from tests.operators import conv

POINTWISE = [conv(c, o, s, kernel=1) for c in (32, 64, 128) for o in (32, 64, 128) for s in (7, 14, 28)]


def fitted(residual: float = 0.3) -> Correction:
    return Correction.fit(POINTWISE, np.full(len(POINTWISE), residual), np.ones(len(POINTWISE)), SHARED)


def test_neighbours_share_their_residual_and_strangers_have_none() -> None:
    correction = fitted()
    near, far = conv(96, 96, 14, kernel=1), Operator("Relu", ((1, 64, 28, 28),), ((1, 64, 28, 28),))
    assert 0.2 < correction.predict([near])[0] < 0.35
    assert correction.predict([far])[0] == 0.0


def test_nothing_is_extrapolated_beyond_what_was_seen() -> None:
    huge = conv(8192, 8192, 224, kernel=1)
    assert abs(fitted().predict([huge])[0]) <= 0.31


def test_imprecise_residuals_count_less() -> None:
    noisy = Correction.fit(POINTWISE, np.full(27, 0.3), np.full(27, 1e-3), SHARED)
    assert abs(noisy.predict(POINTWISE)[0]) < 0.5 * fitted().predict(POINTWISE)[0]


def test_a_copy_through_json_predicts_exactly_the_same() -> None:
    correction = fitted()
    copy = Correction.from_json(json.loads(json.dumps(correction.to_json())))
    assert np.array_equal(copy.predict(POINTWISE), correction.predict(POINTWISE))


def test_the_number_of_points_is_bounded() -> None:
    operators = [conv(c, 8, 7, kernel=1) for c in range(1, 1500)]
    correction = Correction.fit(operators, np.zeros(len(operators)), np.ones(len(operators)), OWN)
    assert 0 < len(correction.points) <= MOST_POINTS


def test_a_choice_of_points_carries_what_all_residuals_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many operators on few points are corrected as the whole process, without a bound, corrects them."""
    draw = np.random.default_rng(0).integers
    operators = [
        conv(int(draw(8, 512)), int(draw(8, 512)), int(draw(7, 56)), kernel=(1, 3)[i % 2]) for i in range(450)
    ]
    residuals = np.array([0.2 * np.sin(operator.inputs[0][1] / 100.0) for operator in operators])
    few = Correction.fit(operators, residuals, np.ones(450), SHARED)
    monkeypatch.setattr("predictors.correction.MOST_POINTS", 450)
    whole = Correction.fit(operators, residuals, np.ones(450), SHARED)
    assert len(few.points) < len(whole.points) == 450
    assert np.allclose(few.predict(operators), whole.predict(operators), atol=0.02)


def test_a_prediction_does_not_depend_on_what_is_asked_beside_it() -> None:
    correction = fitted()
    strangers = [Operator("Relu", ((1, c, 28, 28),), ((1, c, 28, 28),)) for c in range(1, 40)]
    together = correction.predict([*strangers, *POINTWISE, *strangers])
    alone = np.concatenate([correction.predict([operator]) for operator in POINTWISE])
    assert np.array_equal(together[39:-39], alone)
