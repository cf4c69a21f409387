"""What every framework folds into a kernel's weights, when it converts a model or when it loads it."""

from predictors.fusion import conditions
from predictors.fusion.patterns import Chain


def folded_into(convolutions: frozenset[str]) -> tuple[Chain, ...]:
    """Return the patterns: normalisations and constants of convolutions, biases of products."""
    return (
        Chain(convolutions, frozenset({"BatchNormalization"}), bias=1, when=conditions.known_statistics),
        Chain(convolutions, frozenset({"Mul"}), when=conditions.per_channel_constant),
        Chain(convolutions, frozenset({"Add"}), bias=0, when=conditions.per_channel_constant),
        Chain(
            frozenset({"MatMul"}),
            frozenset({"Add"}),
            "Gemm",
            reads_more=True,
            when=conditions.matrix_plus_bias,
        ),
    )
