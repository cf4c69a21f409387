"""Changes of framework, operating system and drivers: states start anew, predictors are fitted anew."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from predictors.bias import NO_BIAS, Bias
from predictors.device_state import DeviceState
from predictors.evaluate import TestThenTrain
from predictors.forecast import Rung
from predictors.notices import Notice
from predictors.run import Run
from predictors.schedule import Schedule
from predictors.software import change, current, software_of
from predictors.version import PredictorVersion
from tests.synthetic import KEY, World

OLD = {"framework_version": "1.30", "software": software_of("Android 11", '{"adreno": "512.490"}')}


def under(runs: Sequence[Run], **versions: object) -> list[Run]:
    return [replace(run, query=replace(run.query, **{**OLD, **versions})) for run in runs]


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        ({"framework_version": "1.31"}, "framework 1.30 → 1.31"),
        ({"software": {"os": "Android 12", "adreno": "512.490"}}, "os Android 11 → Android 12"),
        ({"software": {"os": "Android 11", "adreno": "512.500"}}, "adreno 512.490 → 512.500"),
        ({"framework_version": "", "software": {}}, ""),
        ({"software": {"os": "Android 11", "mali": "r38"}}, ""),
    ],
)
def test_what_changed_is_told_and_what_is_not_told_is_no_change(
    versions: dict[str, object], told: str
) -> None:
    before, after = under([World().run()] * 2), under([World().run()], **versions)
    known: tuple[str, ...] = ()
    for run in before:
        known, changed = change(known, run.query)
        assert not changed
    known, changed = change(known, after[0].query)
    assert changed == told
    assert change(known, after[0].query) == (known, "")


class Played:
    """An engine before and after the framework changed below a loaded device."""

    def __init__(self) -> None:
        self.published: list[tuple[PredictorVersion, str]] = []
        self.notices: list[Notice] = []
        world = World(seed=31)
        self.engine = TestThenTrain(
            schedule=Schedule(least_new_runs=10, most_new_runs=1000, growth=10.0),
            on_publish=lambda version, reason, _: self.published.append((version, reason)),
            on_notice=self.notices.append,
        )
        self.engine.calibrate(under(world.calm(60)))
        self.engine.warm_up(under(world.changing(150)))
        for run in under([world.run("s3") for _ in range(20)]):
            self.engine.step(run)
        self.engine.flush()
        self.state: DeviceState = self.engine.state("device-1", KEY)
        self.next = world.run("s3", "net4", profiled=True)
        self.later = [world.run("s3") for _ in range(15)]


@pytest.fixture(scope="module")
def played() -> Played:
    return Played()


def test_how_far_other_trees_were_off_tells_nothing_of_new_ones() -> None:
    state = replace(DeviceState.initial(), bias=Bias(0.3, 0.3, 1.0), trees="older")
    query = World(seed=5).run().query
    assert current(state, query, "", "older") is state
    newer = current(state, query, "", "newer")
    assert (newer.bias, newer.trees) == (NO_BIAS, "newer")


def test_the_first_run_after_a_change_forgets_the_state_and_widens_the_interval(played: Played) -> None:
    version = played.engine.version(KEY)
    same, changed = under([played.next])[0], under([played.next], framework_version="1.31")[0]
    kept = version.forecast(same.query, played.state)[Rung.RUNTIME].total
    anew = version.forecast(changed.query, played.state)[Rung.RUNTIME].total
    fresh = version.forecast(changed.query, DeviceState.initial())[Rung.RUNTIME].total
    assert anew.p50_us == fresh.p50_us != kept.p50_us
    assert anew.high_us / anew.low_us > fresh.high_us / fresh.low_us
    after = version.absorb(played.state, changed)
    assert after.runs == 1
    assert version.absorb(after, changed).runs == 2
    assert DeviceState.from_json(after.to_json()) == after


def test_a_change_brings_a_refit_about_that_says_why(played: Played) -> None:
    before = len(played.published)
    for run in under(played.later, framework_version="1.31"):
        played.engine.step(run)
    played.engine.flush()
    reasons = [reason for _, reason in played.published[before:]]
    assert reasons == ["framework 1.30 → 1.31"]
    assert "framework 1.31" in played.published[-1][0].software
    assert "framework 1.30 → 1.31" in [notice.trigger for notice in played.notices]
    copy = PredictorVersion.from_bytes(played.published[-1][0].to_bytes())
    assert copy.software == played.published[-1][0].software
