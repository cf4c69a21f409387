from hypothesis import given
from hypothesis import strategies as st

from app.planning.lanes import Interval, Lanes


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 50), st.floats(0, 20)), max_size=12),
)
def test_what_runs_beside_is_what_a_look_at_all_finds(rows: list[tuple[int, float, float]]) -> None:
    free = [0.0, 0.0, 0.0]
    made = []
    for place, (processor, gap, length) in enumerate(rows):
        start = free[processor] + gap
        free[processor] = start + length
        made.append(Interval(processor, start, free[processor], place))
    lanes = Lanes(made)
    for item in made:
        expected = {
            other.place: min(item.end_us, other.end_us) - max(item.start_us, other.start_us)
            for other in made
            if other.processor != item.processor
            and min(item.end_us, other.end_us) > max(item.start_us, other.start_us)
        }
        assert {other.place: overlap for other, overlap in lanes.beside(item)} == expected
