from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from predictors.bias import NO_BIAS, Bias
from predictors.conformal import Widths
from predictors.device_state import RECENT, DeviceState, short_name
from predictors.run import Run
from tests.synthetic import World

RUN = World(seed=3).run("s0", profiled=True)


def grown(count: int, residual: float = 0.1) -> DeviceState:
    state = DeviceState.initial()
    for number in range(count):
        run = replace(
            RUN, query=replace(RUN.query, model=f"sha256:{number:064x}", started_at_us=number * 10**6)
        )
        state = state.absorb(run, 12.345678, residual, known=True, reference="12345678")
        bias = Bias(-0.123456, -0.123456, -0.98765)
        state = replace(state, bias=bias, trees="12345678", widths=Widths((-1.2345,) * 3, (-1.2345,) * 3))
    return state


def test_it_stays_below_a_kilobyte_for_ever() -> None:
    state = grown(500, residual=-1.23456789)
    assert len(state.to_json().encode()) <= 1024
    assert len(state.recent) == RECENT


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.booleans())
def test_json_is_exact_whatever_was_absorbed(residuals: list[float], known: bool) -> None:
    state = DeviceState.initial()
    for number, residual in enumerate(residuals):
        run: Run = replace(RUN, query=replace(RUN.query, started_at_us=(-1) ** number * number * 10**9))
        state = state.absorb(run, 9.0, residual, known=known, reference="r")
        state = replace(state, bias=state.bias.after(residual, 0.2))
    assert DeviceState.from_json(state.to_json()) == state


def test_a_state_of_another_layout_starts_anew() -> None:
    assert DeviceState.from_json('{"runs": 3, "averages": [1, 2]}') == DeviceState.initial()


def test_a_clock_that_goes_back_neither_raises_nor_forgets() -> None:
    state = grown(5)
    earlier = replace(RUN, query=replace(RUN.query, started_at_us=-(10**15)))
    after = state.absorb(earlier, 10.0, 0.0, known=False, reference="12345678")
    assert after.updated_at_us == state.updated_at_us
    assert after.memory(-(10**15)) == 1.0


def test_networks_without_a_digest_are_told_apart_though_their_names_begin_alike() -> None:
    assert short_name("mobilenet_v1") != short_name("mobilenet_v2")
    assert short_name("sha256:0123456789abcdef") == "01234567"
    assert len(short_name("é" * 300)) == 8


def test_a_state_that_starts_anew_keeps_only_what_is_not_of_the_runs() -> None:
    state = grown(20)
    anew = state.anew()
    assert (anew.runs, anew.widths, anew.reference) == (state.runs, state.widths, state.reference)
    assert (anew.recent, anew.models, anew.bias) == ((), (), NO_BIAS)
    first = anew.absorb(RUN, 12.0, 0.7, known=True, reference="r")
    assert first.averages == (0.7,) * len(first.averages)
