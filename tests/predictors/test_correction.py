import json

import numpy as np

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
    assert len(correction.points) == MOST_POINTS
