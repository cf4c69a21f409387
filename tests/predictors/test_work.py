import math

import pytest
from hypothesis import given

from predictors import cost
from predictors.families import family
from predictors.graph import Operator
from predictors.work import padding, work
from tests.operators import conv, odd_operators


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (conv(64, 64, 28), "winograd_convolution"),
        (conv(3, 64, 28), "image_convolution"),
        (conv(8, 7, 28), "spatial_convolution"),
        (conv(64, 64, 28, stride=2), "spatial_convolution"),
        (conv(64, 64, 28, kernel=1), "pointwise_convolution"),
        (conv(64, 64, 28, group=64), "depthwise_convolution"),
        (conv(64, 64, 28, group=4), "grouped_convolution"),
        (Operator("Conv", ((1, 4, 8, 8),), ((1, 4, 8, 8),)), "unknown_convolution"),
        (Operator("NoSuchOperator"), "other"),
    ],
)
def test_families(operator: Operator, expected: str) -> None:
    assert family(operator) == expected


def test_winograd_saves_the_textbook_share_of_products() -> None:
    assert work(conv(64, 64, 28)).macs == pytest.approx(28 * 28 * 64 * 64 * 9 * 4 / 9)


def test_channels_are_filled_up_to_whole_vectors() -> None:
    assert padding(13) == pytest.approx(16 / 13)
    assert work(conv(13, 13, 28, kernel=1)).macs == pytest.approx(work(conv(16, 16, 28, kernel=1)).macs)
    assert work(conv(0, 0, 28, kernel=1)).macs == 0


@given(odd_operators)
def test_work_is_finite_and_never_negative(operator: Operator) -> None:
    assert all(math.isfinite(value) and value >= 0 for value in work(operator))


def test_zeros_that_fill_up_short_shapes_hide_no_work() -> None:
    """`(1, 0, 1001, 0)` is a row of 1001, written in four dimensions; one zero alone is an empty tensor."""
    padded = Operator("Gemm", ((1, 0, 1056, 0), (0, 0)), ((1, 0, 1001, 0),))
    assert work(padded).macs > 0.99 * 1056 * 1001
    assert cost.output_bytes(Operator("Relu", ((1, 0, 7, 7),), ((1, 0, 7, 7),))) == 0


def test_unrolled_and_transformed_convolutions_touch_more_than_their_tensors() -> None:
    pointwise, spatial, winograd = (
        work(conv(64, 64, 28, kernel=size, stride=stride)).activation_bytes / (28 * 28 * 64 * 4)
        for size, stride in ((1, 1), (3, 2), (3, 1))
    )
    assert pointwise == pytest.approx(2.0)
    assert spatial == pytest.approx(1.0 + 0.25 + 2.0 * 9.0 * 0.25)
    assert winograd == pytest.approx(2.0 * 4.0)
