"""How far trees and recent runs are trusted: by what they foretold."""

import numpy as np
import pytest

from predictors.buffer import Row
from predictors.trust import Trust


def rows(trees_miss: float, state_miss: float, level: float, count: int = 120) -> list[Row]:
    """Return runs about `level` slower than calm, foretold by trees and by recent runs with such misses."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        stretch = level + rng.normal(0.0, 0.01)
        made.append(
            Row(
                number=number,
                features=np.zeros(1),
                stretch=stretch,
                group="net+",
                weight=1.0,
                predicted=stretch,
                uncorrected=stretch,
                miss_log=0.0,
                state_log=stretch + rng.normal(0.0, state_miss),
                slowdown_log=0.0,
                trees_log=stretch + rng.normal(0.0, trees_miss),
                fresh_log=0.0,
                alone_log=0.0,
                calm_log_us=10.0,
                condition=None,
            )
        )
    return made


@pytest.mark.parametrize("live_runs", [0, 100, 400])
def test_whoever_foretold_better_is_trusted_more(live_runs: int) -> None:
    trees = Trust.fit(rows(0.05, 0.4, 0.5), live_runs)
    state = Trust.fit(rows(0.4, 0.05, 0.5), live_runs)
    assert trees.trees > 0.8
    assert state.state > 0.8


def test_where_both_only_chase_noise_calm_wins() -> None:
    chased = Trust.fit(rows(0.3, 0.3, 0.0), 100)
    assert chased.trees + chased.state < 0.5


def test_without_evidence_recent_runs_count_first_and_trees_later() -> None:
    first, later = Trust.fit([], 0), Trust.fit([], 2_000)
    assert first.state > 0.7
    assert later.trees > 0.95
    for trust in (first, later):
        assert 0.0 <= trust.trees + trust.state <= 1.0


def test_trees_that_have_grown_better_are_forgiven_their_beginnings() -> None:
    grown = Trust.fit([*rows(0.4, 0.2, 0.5, 60), *rows(0.05, 0.2, 0.5, 240)], 300)
    assert grown.trees > 0.7
