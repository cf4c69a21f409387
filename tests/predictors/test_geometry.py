from predictors.geometry import kernel, strides
from predictors.graph import Operator
from tests.operators import conv


def pool(before: int, after: int, **attributes: list[int]) -> Operator:
    return Operator("MaxPool", ((1, 8, before, before),), ((1, 8, after, after),), "float32", attributes)


def test_declared_hyperparameters_are_kept() -> None:
    operator = conv(8, 8, 14, kernel=5, stride=2)
    assert (kernel(operator), strides(operator)) == ((5, 5), (2, 2))


def test_a_missing_stride_is_read_from_the_shapes() -> None:
    assert strides(pool(56, 28)) == (2, 2)
    up = Operator("ConvTranspose", ((1, 8, 14, 14),), ((1, 8, 28, 28),))
    assert strides(up) == (2, 2)
    assert kernel(up) == (4, 4)


def test_a_kernel_too_small_for_its_shapes_is_raised() -> None:
    """35 to 17 with stride 2 needs a kernel of at least 2; the next odd one is what networks use."""
    operator = Operator(
        "Conv",
        ((1, 288, 35, 35), (384, 288, 1, 1)),
        ((1, 384, 17, 17),),
        "float32",
        {"kernel_shape": [1, 1], "strides": [2, 2]},
    )
    assert kernel(operator) == (3, 3)


def test_pools_without_a_kernel_slide_three_wide_or_cover_everything() -> None:
    assert kernel(pool(56, 28)) == (3, 3)
    assert kernel(pool(8, 1)) == (8, 8)
    assert kernel(Operator("Relu", ((1, 8, 4, 4),), ((1, 8, 4, 4),))) == ()
