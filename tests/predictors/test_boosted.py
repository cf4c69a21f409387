"""Trees read by LightGBM's library itself answer what its Python package answers, bit by bit."""

import copy
from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pytest

from predictors.boosted import Boosted, Floats
from predictors.trees import Trees, TreesError


@pytest.fixture(scope="module")
def rows() -> Floats:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 9))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[:, 8] = rng.integers(0, 5, len(rows))
    return rows


@pytest.fixture(scope="module")
def boosted(rows: Floats) -> Boosted:
    targets = np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]) ** 2 + (rows[:, 8] == 3)
    return Boosted.fit(rows, targets, rounds=30, parameters={"num_leaves": 7}, categorical=[8])


@pytest.fixture(scope="module")
def package(boosted: Boosted) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=boosted.text)


def test_rows_alone_and_together_are_predicted_as_by_the_package(
    boosted: Boosted, package: lightgbm.Booster, rows: Floats
) -> None:
    expected = package.predict(rows, num_threads=1)
    assert np.array_equal(boosted.predict(rows), expected)
    assert np.array_equal(np.concatenate([boosted.predict(row[None]) for row in rows]), expected)
    assert np.array_equal(boosted.predict(np.asfortranarray(rows)), expected)
    assert boosted.predict(rows[:0]).shape == (0,)


def test_contributions_gains_and_counts_are_those_of_the_package(
    boosted: Boosted, package: lightgbm.Booster, rows: Floats
) -> None:
    assert np.array_equal(boosted.contributions(rows), package.predict(rows, pred_contrib=True))
    assert np.array_equal(boosted.gains(), package.feature_importance(importance_type="gain"))
    assert (boosted.tree_count, boosted.feature_count) == (package.num_trees(), package.num_feature())


def test_threads_may_ask_the_same_trees(boosted: Boosted, rows: Floats) -> None:
    expected = boosted.predict(rows).tolist()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda row: boosted.predict(row[None])[0], [*rows] * 4))
    assert answers == expected * 4


def test_a_copy_predicts_the_same(boosted: Boosted, rows: Floats) -> None:
    assert np.array_equal(copy.deepcopy(boosted).predict(rows), boosted.predict(rows))


def test_what_does_not_fit_is_refused(boosted: Boosted, rows: Floats) -> None:
    with pytest.raises(TreesError, match="9 features"):
        boosted.predict(rows[:, :8])
    with pytest.raises(TreesError):
        Trees("no trees at all")
