"""When a forecast is too thin to rely on, and when it is not."""

from dataclasses import replace

import pytest

from predictors.calm_model import CalmModel, KnownModel
from predictors.device_state import group_of
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.operator_model import OperatorModel
from predictors.run import PredictorKey, RunQuery
from predictors.thinness import ENOUGH_CALM_RUNS, ENOUGH_RUNS, cover
from predictors.version import PredictorVersion

KEY = PredictorKey("SoC 1", "gpu", "MNN")
CONV = Operator("Conv", ((1, 8, 8, 8), (8, 8, 3, 3)), ((1, 8, 8, 8),))
STRANGE = Operator("GridSample", ((1, 64, 28, 28),), ((1, 64, 28, 28),))
QUERY = RunQuery(KEY, "phone-1", "net", 0, (CONV,) * 9, {})


@pytest.fixture
def version() -> PredictorVersion:
    calm = CalmModel(operators=OperatorModel(seen_types=frozenset({"Conv"})))
    return PredictorVersion(KEY, calm, calm_runs=ENOUGH_CALM_RUNS, trained_runs=ENOUGH_RUNS)


def timed(version: PredictorVersion, times: int) -> PredictorVersion:
    entry = KnownModel((7.0, 0.0), (times, 0), 1000.0, 9, 0.5)
    return replace(version, calm=replace(version.calm, known={"net": entry}))


@pytest.mark.parametrize("rung", [Rung.CALM, Rung.RUNTIME])
def test_enough_runs_of_known_operators_are_enough(version: PredictorVersion, rung: Rung) -> None:
    assert not cover(version, QUERY, rung).too_thin


def test_each_rung_counts_the_runs_it_rests_on(version: PredictorVersion) -> None:
    few_calm = replace(version, calm_runs=ENOUGH_CALM_RUNS - 1)
    assert "19 calm runs, not 20" in cover(few_calm, QUERY, Rung.CALM).reasons[0]
    assert not cover(few_calm, QUERY, Rung.RUNTIME).too_thin
    few = replace(version, trained_runs=ENOUGH_RUNS - 1)
    assert "49 runs, not 50" in cover(few, QUERY, Rung.RUNTIME).reasons[0]
    assert not cover(few, QUERY, Rung.CALM).too_thin
    assert cover(PredictorVersion(KEY), QUERY, Rung.CALM).too_thin


def test_another_processors_predictor_is_never_enough(version: PredictorVersion) -> None:
    asked = replace(QUERY, key=replace(KEY, soc="SoC 2"))
    found = cover(version, asked, Rung.CALM)
    assert (found.learned, found.fallback) == (0.0, ("Conv",))
    assert "SoC 1/gpu/MNN answers instead" in found.reasons[0]


def test_a_tenth_may_be_guessed_and_no_more(version: PredictorVersion) -> None:
    found = cover(version, replace(QUERY, operators=(CONV,) * 8 + (STRANGE,)), Rung.RUNTIME)
    assert "GridSample" in found.reasons[0]
    wide = Operator("Conv", ((1, 256, 56, 56), (256, 256, 3, 3)), ((1, 256, 56, 56),))
    small = replace(STRANGE, inputs=((1, 1, 2, 2),), outputs=((1, 1, 2, 2),))
    assert not cover(version, replace(QUERY, operators=(wide,) * 19 + (small,)), Rung.RUNTIME).too_thin


def test_a_network_that_was_timed_as_a_whole_needs_no_timed_operators(version: PredictorVersion) -> None:
    whole = replace(QUERY, operators=())
    assert "operators are not known" in cover(version, whole, Rung.CALM).reasons[0]
    for query in (whole, replace(QUERY, operators=(STRANGE,) * 9)):
        assert cover(timed(version, 2), query, Rung.CALM).too_thin
        assert not cover(timed(version, 3), query, Rung.CALM).too_thin
    met = replace(version.runtime, offsets={group_of(whole): 0.1})
    assert not cover(replace(version, runtime=met), whole, Rung.RUNTIME).too_thin
