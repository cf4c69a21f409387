"""Operators of every kind and oddity, for property checks."""

from hypothesis import strategies as st

from predictors.graph import Operator

TYPES = (
    *("Conv", "FusedConv", "ConvTranspose", "Gemm", "MatMul", "Attention", "LSTM", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "LRN", "BatchNormalization", "Relu", "Add", "Softmax", "ReorderInput", "Concat"),
    *("Reshape", "GridSample", "NoSuchOperator", ""),
)
dimensions = st.integers(0, 70)
shapes = st.lists(dimensions, max_size=5).map(tuple)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "kernel_shape": st.lists(st.integers(0, 7), max_size=3),
        "strides": st.lists(st.integers(0, 4), max_size=3),
        "dilations": st.lists(st.integers(1, 2), max_size=2),
        "group": st.integers(0, 64),
        "activation": st.sampled_from(["Relu", "Unheard"]),
        "perm": st.permutations([0, 1, 2, 3]),
    },
)
odd_operators = st.builds(
    Operator,
    st.sampled_from(TYPES),
    st.lists(shapes, max_size=4).map(tuple),
    st.lists(shapes, max_size=2).map(tuple),
    st.sampled_from(["float32", "float16", "int8", "bool", "unheard"]),
    attributes,
)


def conv(channels: int, out: int, size: int, *, kernel: int = 3, stride: int = 1, group: int = 1) -> Operator:
    """Return a padded convolution on a square image."""
    after = -(-size // stride)
    return Operator(
        "Conv",
        ((1, channels, size, size), (out, channels // group, kernel, kernel)),
        ((1, out, after, after),),
        "float32",
        {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "group": group},
    )
