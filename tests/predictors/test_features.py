import numpy as np
from hypothesis import given

from predictors.features import NAMES, feature_matrix, operator_features
from predictors.graph import Operator
from tests.operators import conv, odd_operators


@given(odd_operators)
def test_vectors_never_raise_and_never_hold_an_infinity(operator: Operator) -> None:
    vector = operator_features(operator)
    assert vector.shape == (len(NAMES),)
    assert not np.isinf(vector).any()
    assert np.isfinite([vector[NAMES.index(name)] for name in ("family", "fused_activation")]).all()


def test_no_operators_make_an_empty_matrix() -> None:
    assert feature_matrix([]).shape == (0, len(NAMES))


def test_vectors_tell_apart_what_costs_differently() -> None:
    rows = feature_matrix([conv(64, 64, 28), conv(64, 64, 28, stride=2), conv(64, 96, 28), conv(64, 64, 14)])
    assert len(np.unique(np.nan_to_num(rows), axis=0)) == 4
