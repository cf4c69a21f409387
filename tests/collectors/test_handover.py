import os
import threading

from collectors.handover import SIZES_BYTES, HandOver, allocate_tensors
from collectors.pinning import pinned
from tests.processes import wait_until

CORES = sorted(os.sched_getaffinity(0))


def test_a_handover_takes_time_and_a_large_tensor_more_of_it() -> None:
    tensors = allocate_tensors()
    with pinned(CORES[0]), HandOver(CORES[-1]) as handover:
        # A busy core lets the other thread wait for its turn: the bound is for a hand-over that did not.
        wait_until(lambda: 0 < handover.time_us(tensors[SIZES_BYTES[0]]) < 10_000, "a quick hand-over")
        assert all(handover.time_us(tensors[SIZES_BYTES[-1]]) > 0 for _ in range(30))


def test_the_thread_ends_with_the_context() -> None:
    before = threading.active_count()
    with HandOver(CORES[0]):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert os.sched_getaffinity(0) == set(CORES)
