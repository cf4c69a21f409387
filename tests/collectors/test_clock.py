from collectors.clock import AnchoredClock, rfc3339


def test_time_goes_on_steadily_when_the_system_clock_is_set() -> None:
    wall, steady = [1_000_000_000_000], [0]
    clock = AnchoredClock(lambda: wall[0], lambda: steady[0])
    start_us = clock.now_us()
    wall[0] -= 3_600_000_000_000
    steady[0] += 5_000_000
    assert clock.now_us() - start_us == 5000
    step_us = clock.resync()
    assert step_us == -3_600_000_000 - 5000
    assert clock.now_us() == wall[0] // 1000


def test_small_drift_is_no_jump() -> None:
    wall, steady = [1_000_000_000_000], [0]
    clock = AnchoredClock(lambda: wall[0], lambda: steady[0])
    wall[0] += 400_000_000
    assert clock.resync() == 0
    assert clock.now_us() == 1_000_000_000


def test_times_are_written_with_microseconds() -> None:
    assert rfc3339(1_790_000_000_000_123) == "2026-09-21T14:13:20.000123Z"
    assert rfc3339(999_999) == "1970-01-01T00:00:00.999999Z"
