"""What TFLite and MNN run for a graph.

Their converters do most of the fusing: normalisations are folded into convolutions and activations are
recorded on the operator before them. A TFLite file is already in that form, so that its operators are its
kernels; an ONNX file is taken through the same steps as its conversion would (the TFLite converter's
`legalize` and `optimize` passes; MNN's post-conversion `MergeBNToConvolution`, `MergeReluToConvolution`).
Types keep their ONNX names, which importers of measurements use too.
"""

from predictors.fusion import conditions
from predictors.fusion.cleaning import clean
from predictors.fusion.folding import folded_into
from predictors.fusion.patterns import Chain, apply_chains
from predictors.fusion.rewriting import Rewriting

_CONV = frozenset({"Conv", "Conv2D", "DepthwiseConv2D"})
_DENSE = frozenset({"Gemm", "FullyConnected"})

FOLDING = folded_into(_CONV)
TFLITE_ACTIVATIONS = (
    Chain(
        _CONV | _DENSE | {"Add", "Mul", "MaxPool", "AveragePool"},
        frozenset({"Relu", "Relu6", "Tanh"}),
        activation=True,
    ),
    Chain(
        _CONV | _DENSE | {"Add"}, frozenset({"Clip"}), activation=True, when=conditions.bounded_by_constants
    ),
)
MNN_ACTIVATIONS = (
    Chain(_CONV, frozenset({"Relu", "Relu6"}), activation=True),
    Chain(_CONV, frozenset({"Clip"}), activation=True, when=conditions.bounded_by_constants),
)


def rewrite_tflite(graph: Rewriting) -> None:
    """Fuse as TFLite's converter does."""
    clean(graph)
    apply_chains(graph, FOLDING)
    apply_chains(graph, TFLITE_ACTIVATIONS)


def rewrite_mnn(graph: Rewriting) -> None:
    """Fuse as MNN's converter does."""
    clean(graph)
    apply_chains(graph, FOLDING)
    apply_chains(graph, MNN_ACTIVATIONS)
