"""What ONNX Runtime's CPU provider runs at its default (full) optimisation level.

The patterns follow its graph transformers by name (`ConvBNFusion`, `ConvActivationFusion`,
`GemmActivationFusion`, `MatMulAddFusion`, `GeluFusion`, `LayerNormFusion`, `NchwcTransformer`, …), as seen
in the profiles of version 1.31.
"""

from predictors.fusion.cleaning import clean
from predictors.fusion.dense import SCALING, flatten_products, merge_reshapes
from predictors.fusion.folding import folded_into
from predictors.fusion.nchwc import BlockedLayout
from predictors.fusion.patterns import Chain, Template, apply_chains, apply_templates
from predictors.fusion.rewriting import Rewriting

_CONV = frozenset({"Conv"})

PACKED = frozenset({"Gemm", "FusedGemm", "MatMul"})

FOLDING = folded_into(_CONV)

ACTIVATIONS = (
    Chain(_CONV, frozenset({"Relu", "Sigmoid", "Tanh"}), "FusedConv", activation=True),
    Chain(_CONV, frozenset({"LeakyRelu"}), "FusedConv", activation=True, keeps=("alpha",)),
    Chain(_CONV, frozenset({"HardSigmoid"}), "FusedConv", activation=True, keeps=("alpha", "beta")),
    Chain(
        frozenset({"Gemm"}),
        frozenset({"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Elu", "Softplus", "Softsign"}),
        "FusedGemm",
        activation=True,
    ),
)

TEMPLATES = (
    Template(
        """
        d = Div x c1
        e = Erf d
        a = Add e c2
        m = Mul x a
        y = Mul m c3
        """,
        "Gelu",
        ("x",),
    ),
    Template(
        """
        u = ReduceMean x
        s = Sub x u
        p = Pow s c1
        v = ReduceMean p
        a = Add v c2
        r = Sqrt a
        d = Div s r
        m = Mul d c3
        y = Add m c4
        """,
        "LayerNormalization",
        ("x", "c3", "c4"),
        {"axis": -1, "epsilon": 1e-5, "stash_type": 1},
    ),
)


def rewrite(graph: Rewriting, block: int) -> None:
    """Fuse as ONNX Runtime does; `block` is the channel block of its layout pass (0: it does not run)."""
    clean(graph)
    apply_chains(graph, FOLDING)
    apply_templates(graph, TEMPLATES)
    flatten_products(graph)
    merge_reshapes(graph)
    apply_chains(graph, SCALING)
    apply_chains(graph, ACTIVATIONS)
    if block:
        BlockedLayout(graph, block).apply()
    _hide_packed_weights(graph)


def _hide_packed_weights(graph: Rewriting) -> None:
    """Drop constant matrices that a kernel keeps in a packed form of its own: profiles do not show them."""
    for op in graph:
        if op.op_type in PACKED:
            hidden = op.inputs[1:2] if len(op.inputs) > 1 and graph.is_constant(op.inputs[1]) else []
            graph.set_inputs(op, [name for name in op.inputs if name not in hidden])
