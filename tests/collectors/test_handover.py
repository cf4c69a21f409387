import os
import threading

from collectors.handover import SIZES_BYTES, HandOver, allocate_tensors
from collectors.pinning import pinned

CORES = sorted(os.sched_getaffinity(0))


def test_a_handover_takes_time_and_a_large_tensor_more_of_it() -> None:
    tensors = allocate_tensors()
    with pinned(CORES[0]), HandOver(CORES[-1]) as handover:
        small = min(handover.time_us(tensors[SIZES_BYTES[0]]) for _ in range(30))
        large = min(handover.time_us(tensors[SIZES_BYTES[-1]]) for _ in range(30))
    assert 0 < small < 10_000
    assert large > 0


def test_the_thread_ends_with_the_context() -> None:
    before = threading.active_count()
    with HandOver(CORES[0]):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert os.sched_getaffinity(0) == set(CORES)
