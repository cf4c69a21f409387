"""When the fast state stops to count is learned from what would have served best."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.buffer import Row
from predictors.device_state import DeviceState, Signs
from predictors.forgetting import Forgetting

SHORT_US, LONG_US = 5e3, 4e5


def rows(broken_by: str, count: int = 400) -> list[Row]:
    """Return runs of which every tenth comes after a break that only context alone sees coming."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(count):
        broken = number % 10 == 0
        fresh, alone, level = (0.0, 1.0, 1.0) if broken else (0.0, 0.2, 0.0)
        silent, surprised = broken and broken_by == "silence", broken and broken_by == "surprise"
        signs = Signs(LONG_US if silent else SHORT_US, 0.0 if surprised else alone, 0.0)
        made.append(row(number, level + rng.normal(0.0, 0.02), fresh, alone, signs))
    return made


def row(number: int, stretch: float, fresh: float, alone: float, signs: Signs) -> Row:
    return Row(
        number=number,
        features=np.zeros(1),
        stretch=stretch,
        group="net+",
        weight=1.0,
        predicted=fresh,
        uncorrected=fresh,
        miss_log=0.0,
        state_log=fresh,
        slowdown_log=fresh,
        fresh_log=fresh,
        alone_log=alone,
        signs=signs,
        device_id="device-1",
        calm_log_us=10.0,
        condition=None,
    )


def test_a_silence_that_means_a_break_is_learned() -> None:
    learned = Forgetting.fit(rows("silence"))
    assert learned.share(Signs(LONG_US, 0.0, 0.0), 0.0) < 0.1
    assert learned.share(Signs(SHORT_US, 0.0, 0.0), 0.0) > 0.9


def test_a_jump_of_circumstances_that_means_a_break_is_learned() -> None:
    learned = Forgetting.fit(rows("surprise"))
    assert learned.share(Signs(SHORT_US, 0.0, 0.0), 1.0) < 0.15
    assert learned.share(Signs(SHORT_US, 0.0, 0.0), 0.0) > 0.9


def test_without_breaks_or_with_few_runs_the_default_stays() -> None:
    steady = [row(n, 0.15, 0.1, 0.1, Signs(SHORT_US, 0.1, 0.0)) for n in range(300)]
    assert Forgetting.fit(steady) == Forgetting()
    assert Forgetting.fit(rows("silence")[:50]) == Forgetting()


def test_a_device_that_sent_nothing_is_judged_by_context_alone() -> None:
    assert Forgetting().share(DeviceState.initial().signs(10**15), 0.3) == 0.0


@given(
    st.builds(Signs, st.floats(0.0, 1e18), st.floats(-9.0, 9.0), st.floats(0.0, 1.0)),
    st.floats(-9.0, 9.0),
)
def test_the_share_is_a_share_and_falls_with_silence(signs: Signs, context_log: float) -> None:
    share = Forgetting().share(signs, context_log)
    assert 0.0 <= share <= 1.0
    later = Signs(signs.silence_us + 1e6, signs.usual_log, signs.doubt)
    assert Forgetting().share(later, context_log) <= share + 1e-12


def test_doubt_lingers_and_fades() -> None:
    learned = Forgetting(silence_us=1e5, lingering=0.5)
    doubts, doubt = [], 0.0
    for silence in (5e5, 1e3, 1e3, 1e3):
        doubt = learned.lingering * (1.0 - learned.share(Signs(silence, 0.0, doubt), 0.0))
        doubts.append(doubt)
    assert doubts[0] == pytest.approx(0.5, abs=0.01)
    assert doubts == sorted(doubts, reverse=True)
    assert doubts[-1] < 0.1
