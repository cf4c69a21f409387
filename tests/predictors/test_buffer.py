import numpy as np

from predictors.buffer import Row, StratifiedBuffer


def row(number: int, stretch: float) -> Row:
    return Row(
        number=number,
        features=np.zeros(1),
        stretch=stretch,
        group="net+",
        weight=1.0,
        predicted=0.0,
        uncorrected=0.0,
        miss_log=0.0,
        state_log=0.0,
        slowdown_log=0.0,
        trees_log=0.0,
        fresh_log=0.0,
        alone_log=0.0,
        calm_log_us=10.0,
        condition=None,
    )


def filled(capacity: int = 200) -> StratifiedBuffer:
    buffer = StratifiedBuffer(capacity)
    for number in range(5_000):
        buffer.add(row(number, 1.5 if number % 100 == 7 and number < 2_500 else 0.0))
    return buffer


def test_it_is_bounded_and_keeps_the_newest_half() -> None:
    numbers = [item.number for item in filled()]
    assert len(numbers) == len(filled()) == 200
    assert numbers[-100:] == list(range(4_900, 5_000))
    assert numbers == sorted(numbers)


def test_rare_conditions_outlive_common_ones() -> None:
    assert sum(item.stretch > 1.0 for item in filled()) >= 20


def test_the_same_rows_give_the_same_buffer() -> None:
    assert [item.number for item in filled()] == [item.number for item in filled()]


def test_newer_rows_are_the_newest_ones_in_order() -> None:
    assert [item.number for item in filled().newer(4_990)] == list(range(4_990, 5_000))
    assert filled().newer(5_000) == []


def test_older_rows_are_few_of_every_kind_from_all_times() -> None:
    buffer = StratifiedBuffer(4_000)
    for number in range(3_000):
        buffer.add(row(number, 1.5 if number % 100 == 7 else 0.0))
    chosen = buffer.older(2_000, 40)
    numbers = [item.number for item in chosen]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers) <= 40
    assert max(numbers) < 2_000
    assert min(numbers) < 400
    assert max(numbers) > 1_600
    assert sum(item.stretch > 1.0 for item in chosen) == 20
    assert [item.number for item in buffer.older(30, 40)] == list(range(30))
    assert buffer.older(0, 40) == []
