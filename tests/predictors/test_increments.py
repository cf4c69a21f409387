"""Trees are appended where the newest runs tell more than the trees in service, and only there."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from predictors import learning
from predictors.buffer import Row
from predictors.context_features import NAMES
from predictors.drift import DriftDetector, NoDrift
from predictors.gate import Verdict
from predictors.increments import MOST_APPENDED
from predictors.learning import KeyLearner
from predictors.notices import REFUSED, Published
from predictors.schedule import APPENDED, DRIFT, ENOUGH, FULL, Schedule
from predictors.version import PredictorVersion
from tests.synthetic import KEY

Law = Callable[[NDArray[np.float64]], float]

SCHEDULE = Schedule(growth=100.0, most_new_runs=300, append_after=40)
ALWAYS = replace(SCHEDULE, append_margin=-100.0)
NEVER = replace(SCHEDULE, append_margin=100.0)
"""Appends whatever it is worth, and not whatever it is worth."""

PRESSURE, LOAD, SILENCE = (NAMES.index(name) for name in ("cpu_pressure", "load_average", "silence_log_us"))


def before(features: NDArray[np.float64]) -> float:
    """Return log(total / calm) as it was: load slows runs."""
    return 0.4 * (features[LOAD] > 0.0)


def after(features: NDArray[np.float64]) -> float:
    """Return it as it is since pressure counts too: no mean of recent misses can tell that."""
    return 0.4 * (features[LOAD] > 0.0) + 0.8 * (features[PRESSURE] > 0.5)


class AlarmAfter:
    """Flags a drift at one update alone."""

    def __init__(self, number: int) -> None:
        self._left = number

    def update(self, _miss: float) -> bool:
        self._left -= 1
        return self._left == 0


class Keyed:
    """A learner of one key whose runs follow a law of their vectors; its trees rest on 300 runs."""

    def __init__(self, schedule: Schedule = SCHEDULE, detector: DriftDetector | None = None) -> None:
        version = PredictorVersion(KEY, calm_final=True, trained_runs=1, comparisons_final=True)
        self.learner = KeyLearner(version, schedule, detector or NoDrift())
        self.rng = np.random.default_rng(3)
        self.published: list[Published] = []
        assert self.feed(before, 300) == [ENOUGH]

    @property
    def version(self) -> PredictorVersion:
        return self.learner.version

    def row(self, law: Law) -> Row:
        features = np.full(len(NAMES), np.nan)
        features[[PRESSURE, LOAD]] = self.rng.normal(size=2)
        features[SILENCE] = 8.0
        stretch = law(features) + float(self.rng.normal(0.0, 0.05))
        expected = self.version.expectation(features, "net+", 0.0)
        return Row(
            number=0,
            features=features,
            stretch=stretch,
            group="net+",
            weight=1.0,
            predicted=expected.stretch.median,
            uncorrected=expected.stretch.median,
            miss_log=0.0,
            state_log=0.0,
            slowdown_log=0.0,
            trees_log=expected.fresh.median,
            fresh_log=expected.fresh.median,
            alone_log=expected.alone.median,
            calm_log_us=9.0,
            condition=None,
        )

    def feed(self, law: Law, runs: int) -> list[str]:
        """Learn runs; return why versions were published meanwhile."""
        made = len(self.published)
        for _ in range(runs):
            self.learner.learn([self.row(law)], calm=False)
            if (reason := self.learner.due) is not None:
                published = self.learner.refit(reason)
                self.published += [published] if published else []
        return [item.reason for item in self.published[made:]]

    def error(self, version: PredictorVersion, law: Law) -> float:
        rows = [self.row(law) for _ in range(200)]
        misses = [
            row.stretch - version.expectation(row.features, row.group, 0.0).stretch.median for row in rows
        ]
        return float(np.abs(misses).mean())


def test_a_lasting_change_is_appended_long_before_the_rebuild() -> None:
    keyed = Keyed()
    stale = keyed.version
    reasons = keyed.feed(after, 120)
    assert set(reasons) == {APPENDED}
    assert keyed.error(keyed.version, after) < 0.7 * keyed.error(stale, after)
    metrics = keyed.published[-1].metrics
    assert metrics["appended_trees"] == keyed.version.runtime.appended > 0
    assert metrics["trees"] - metrics["appended_trees"] == keyed.published[0].metrics["trees"]
    assert metrics["held_back_error"] < metrics["serving_error"]
    assert metrics["fitted_rows"] > metrics["new_runs"] >= 40


def test_what_is_not_clearly_better_is_not_published_and_the_last_good_version_stays() -> None:
    keyed = Keyed(NEVER)
    serving = keyed.version
    assert keyed.feed(after, 290) == []
    assert keyed.version is serving
    assert keyed.learner.notices == []
    assert keyed.feed(after, 10) == [ENOUGH]


@pytest.mark.parametrize(("schedule", "appended"), [(ALWAYS, True), (NEVER, False)])
def test_a_drift_is_answered_by_appended_trees_where_they_are_better_else_by_a_rebuild(
    schedule: Schedule, appended: bool
) -> None:
    keyed = Keyed(schedule, AlarmAfter(335))
    assert keyed.feed(after, 35) == [DRIFT]
    assert (keyed.published[-1].metrics["appended_trees"] > 0) == appended
    assert keyed.feed(after, 15) == []


def test_the_cap_holds_and_a_rebuild_follows() -> None:
    keyed = Keyed(ALWAYS)
    assert keyed.feed(before, 80) == [APPENDED, FULL]
    assert [item.metrics["appended_trees"] for item in keyed.published] == [0, MOST_APPENDED, 0]
    assert keyed.published[-1].metrics["trees"] == keyed.published[0].metrics["trees"]


def test_a_drift_at_the_cap_is_answered_by_a_rebuild() -> None:
    keyed = Keyed(ALWAYS, AlarmAfter(355))
    keyed.feed(before, 40)
    assert keyed.version.runtime.appended == MOST_APPENDED
    reasons = keyed.feed(before, 15)
    refused = [notice.trigger for notice in keyed.learner.notices if notice.kind == REFUSED]
    assert reasons + refused == [DRIFT]
    assert keyed.version.runtime.appended == (0 if reasons else MOST_APPENDED)


def test_a_rebuild_refused_at_the_cap_is_not_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = Keyed(ALWAYS)
    assert keyed.feed(after, 40) == [APPENDED]
    serving = keyed.version
    monkeypatch.setattr(learning.Verdict, "of", lambda *_: Verdict(runs=9, error=0.9, rival_error=0.1))
    assert keyed.feed(after, 250) == []
    assert [notice.trigger for notice in keyed.learner.notices] == [FULL]
    assert keyed.version is serving


def test_a_version_with_appended_trees_survives_its_bytes_exactly() -> None:
    keyed = Keyed(ALWAYS)
    keyed.feed(after, 40)
    copy = PredictorVersion.from_bytes(keyed.version.to_bytes())
    assert copy.to_bytes() == keyed.version.to_bytes()
    assert copy.runtime.appended == MOST_APPENDED
    features = keyed.row(after).features
    assert copy.runtime.predict(features) == keyed.version.runtime.predict(features)


def test_the_same_runs_append_the_same_trees() -> None:
    played = [Keyed(ALWAYS) for _ in range(2)]
    for keyed in played:
        keyed.feed(after, 80)
    assert played[0].version.digest == played[1].version.digest


def test_a_verdict_needs_more_than_chance() -> None:
    clear = Verdict(runs=30, error=0.10, rival_error=0.20, doubt=0.02)
    assert clear.better(2.0)
    assert not replace(clear, doubt=0.06).better(2.0)
    assert not replace(clear, error=0.21).better(2.0)
    assert replace(clear, error=0.21).not_worse
    assert not replace(clear, error=0.24).not_worse
    assert Verdict().not_worse
    assert not Verdict().better(2.0)
    assert Verdict().metrics == {}
