"""How far off an answer may be where nothing was measured, and that measuring ends it."""

from dataclasses import replace

import numpy as np
import pytest

from predictors.conformal import LEVELS, doubted
from predictors.device_state import DeviceState, group_of
from predictors.doubt import PHYSICAL, RELATIVES, Grounds
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.graph import Operator
from predictors.run import PredictorKey, RunQuery
from predictors.version import PredictorVersion
from tests.synthetic import KEY, World

CONV = Operator("Conv", ((1, 8, 8, 8), (8, 8, 3, 3)), ((1, 8, 8, 8),))
STRANGE = Operator("GridSample", ((1, 64, 28, 28),), ((1, 64, 28, 28),))
QUERY = RunQuery(PredictorKey("SoC 1", "cpu:0", "MNN"), "phone-1", "net", 0, (CONV,) * 9, {})
KNOWN = Grounds(networks=2, types=frozenset({"Conv"}), met=frozenset(), lent=False, cpu=True)


def doubt(grounds: Grounds, query: RunQuery = QUERY, *, known: bool = False, later: bool = False) -> float:
    return grounds.doubt_log(query, np.zeros(len(query.operators)), known=known, later=later)


def test_what_was_measured_is_not_doubted() -> None:
    assert doubt(KNOWN, known=True) == 0.0
    met = replace(KNOWN, met=frozenset({group_of(QUERY)}))
    assert doubt(met, later=True) == 0.0
    assert doubt(met) > 0.0


def test_less_is_doubted_the_more_was_measured() -> None:
    nothing = replace(KNOWN, networks=0)
    ladder = [nothing, replace(nothing, lent=True), replace(KNOWN, networks=1), KNOWN]
    found = [doubt(grounds) for grounds in ladder]
    assert found == sorted(found, reverse=True)
    assert found[:2] == [PHYSICAL, RELATIVES]
    assert doubt(replace(KNOWN, cpu=False)) > doubt(KNOWN)


def test_operators_of_unknown_types_are_doubted_by_their_share() -> None:
    few, many = (replace(QUERY, operators=(CONV,) * n + (STRANGE,) * (9 - n)) for n in (8, 1))
    assert doubt(KNOWN) < doubt(KNOWN, few) < doubt(KNOWN, many)
    assert doubt(KNOWN, replace(QUERY, operators=())) == pytest.approx(1.0)


def test_grounds_survive_as_data() -> None:
    assert Grounds.from_json(KNOWN.to_json()) == KNOWN


def test_doubt_widens_on_both_sides_and_leaves_the_median() -> None:
    quantiles = np.array([-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4, 0.6, 0.8])
    wide = doubted(quantiles, 0.5)
    assert wide[LEVELS.index(0.5)] == 0.0
    assert (np.abs(wide) >= np.abs(quantiles)).all()
    assert list(wide) == sorted(wide)
    assert wide[LEVELS.index(0.05)] == pytest.approx(-np.hypot(0.2, 0.5 * 1.645))
    assert (doubted(quantiles, 0.0) == quantiles).all()


def test_intervals_are_wide_at_first_and_narrow_once_a_processor_was_measured() -> None:
    world = World(seed=4)
    engine = TestThenTrain()

    def width() -> float:
        query = world.run("s0", "net2").query
        version, state = engine.version(KEY), engine.state(query.device_id, KEY)
        return min(np.ptp(np.log(f.total.interval_us(0.9))) for f in version.forecast(query, state).values())

    assert width() > 2.0 * 1.645 * PHYSICAL
    for _ in range(40):
        engine.step(world.run("s0"))
    engine.flush()
    assert width() < 1.0


def test_a_borrowed_answer_is_doubted_as_a_relatives() -> None:
    world = World(seed=5)
    engine = TestThenTrain()
    engine.calibrate(world.calm(60))
    version: PredictorVersion = engine.version(KEY)
    own = world.run("s0", "net2").query
    asked = replace(own, key=replace(KEY, processor="cpu:1"))
    for rung in (Rung.CALM, Rung.RUNTIME):
        assert version.doubt_log(own, rung) == 0.0
        assert version.doubt_log(asked, rung) == RELATIVES
        here, there = (
            version.forecast(query, DeviceState.initial(), (rung,))[rung] for query in (own, asked)
        )
        assert there.total.p50_us == here.total.p50_us
        assert there.total.high_us > 1.5 * here.total.high_us
        assert (there.operator_quantiles_us()[:, -1] > here.operator_quantiles_us()[:, -1]).all()
