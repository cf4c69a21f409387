import random
from itertools import islice

from collectors.device import Processor
from collectors.schedule import (
    CALIBRATION_SHARE,
    LEAST_CALIBRATION_RUNS,
    FairShare,
    calibration,
    calibration_s,
    regimes,
)

PROCESSORS = (Processor("cpu:0", 0), Processor("cpu:1", 1))
CONDITIONS = ("s0", "s1", "s2", "s3", "s4")


def test_calibration_visits_every_model_on_every_processor_in_calm() -> None:
    episodes = list(calibration(PROCESSORS, ("a", "b", "c"), 12.0, lambda: 12.0))
    assert [(e.models, e.processor.name) for e in episodes] == [
        ((model,), name) for model in "abc" for name in ("cpu:0", "cpu:1")
    ]
    assert {e.condition for e in episodes} == {"s0"}
    assert all(e.calibration and e.least_runs == LEAST_CALIBRATION_RUNS for e in episodes)
    assert [e.continued for e in episodes] == [True, False] * 3


def test_time_lost_in_calibration_is_shared_by_what_remains() -> None:
    remaining = iter([12.0, 4.0, 3.0, 2.0, 1.0, -3.0])
    seconds = [e.seconds for e in calibration(PROCESSORS, ("a", "b", "c"), 12.0, lambda: next(remaining))]
    assert seconds == [2.0, 0.8, 0.75, 2 / 3, 0.5, 0.5]


def test_a_long_calibration_goes_round_several_times() -> None:
    episodes = list(calibration(PROCESSORS, ("a", "b"), 36.0, lambda: 36.0))
    assert [e.models for e in episodes[::2]] == [("a",), ("b",)] * 3


def test_a_bounded_session_calibrates_for_its_share() -> None:
    assert calibration_s(100.0, PROCESSORS) == 100.0 * CALIBRATION_SHARE
    assert calibration_s(None, PROCESSORS) == 2 * calibration_s(None, PROCESSORS[:1])


def test_each_round_has_every_condition_on_every_processor_once() -> None:
    episodes = regimes(PROCESSORS, CONDITIONS, FairShare("ab", random.Random(0)), 75.0, random.Random(0))
    pairs = {(condition, processor) for condition in CONDITIONS for processor in PROCESSORS}
    orders = []
    for _ in range(3):
        visited = [(e.condition, e.processor) for e in islice(episodes, len(pairs))]
        assert set(visited) == pairs
        orders.append(tuple(visited))
    assert len(set(orders)) == 3


def test_a_round_fits_a_bounded_session() -> None:
    episodes = regimes(PROCESSORS, CONDITIONS, FairShare("ab", random.Random(0)), 75.0, random.Random(0))
    assert sum(e.seconds for e in islice(episodes, 10)) <= 75.0 * (1 - CALIBRATION_SHARE)


def test_slow_models_crowd_nobody_out() -> None:
    shares = FairShare(("slow", "a", "b", "c"), random.Random(0))
    visits = dict.fromkeys(("slow", "a", "b", "c"), 0)
    for _ in range(120):
        for model in shares.pick(2):
            visits[model] += 1
            shares.spend(model, 10.0 if model == "slow" else 1.0)
    assert 0 < visits["slow"] < visits["a"] / 4


def test_a_dropped_model_is_never_picked_again() -> None:
    shares = FairShare(("a", "b"), random.Random(0))
    shares.drop("a")
    shares.spend("a", 1.0)
    assert shares.pick(4) == ("b",)
    assert len(shares) == 1
