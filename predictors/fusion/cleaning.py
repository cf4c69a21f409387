"""What every framework does first: equal expressions once, constants folded, no-ops dropped."""

import json
from collections.abc import Mapping

from predictors.fusion.rewriting import Rewriting

NO_OPS = frozenset({"Dropout", "Identity"})
_RANDOM = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"})
_OPAQUE = frozenset({"If", "Loop", "Scan"})


def clean(graph: Rewriting) -> None:
    """Run all of it."""
    share_equal(graph)
    fold_constants(graph)
    drop_no_ops(graph)
    drop_unused(graph)


def share_equal(graph: Rewriting) -> None:
    """Compute equal expressions once: same type, attributes and inputs (constants by their value)."""
    same = _constants_by_value(graph)
    first: dict[str, list[str]] = {}
    for op in graph:
        inputs = [same.get(name, name) for name in op.inputs]
        if op.op_type in _RANDOM | _OPAQUE or not op.outputs or graph.outputs.intersection(op.outputs):
            continue
        key = json.dumps([op.op_type, op.attributes, inputs, len(op.outputs)], sort_keys=True)
        outputs = first.setdefault(key, op.outputs)
        if outputs is op.outputs:
            continue
        graph.writer[outputs[0]].covers.extend(op.covers)
        graph.remove(op)
        for old, new in zip(op.outputs, outputs, strict=True):
            graph.redirect(old, new)


def fold_constants(graph: Rewriting) -> None:
    """Take out operators whose inputs are all known when the model is loaded."""
    for op in graph:
        known = all(graph.is_constant(name) for name in op.inputs) or op.op_type in {"Shape", "Size"}
        if not known or op.op_type in _RANDOM | _OPAQUE or graph.outputs.intersection(op.outputs):
            continue
        graph.folded += op.covers
        graph.remove(op)
        for name in op.outputs:
            graph.make_constant(name)


def drop_no_ops(graph: Rewriting) -> None:
    """Take out operators that pass their first input on, unless their other outputs are read."""
    for op in graph:
        if op.op_type not in NO_OPS or any(graph.uses(name) for name in op.outputs[1:]):
            continue
        # A graph output must still be written by someone other than the caller.
        if op.outputs[0] in graph.outputs and op.inputs[0] not in graph.writer:
            continue
        graph.bypass(op)


def drop_unused(graph: Rewriting) -> None:
    """Take out operators whose results nobody reads."""
    for op in reversed(list(graph)):
        if op.outputs and not any(graph.uses(name) for name in op.outputs):
            graph.folded += op.covers
            graph.remove(op)


def _constants_by_value(graph: Rewriting) -> Mapping[str, str]:
    """Name of the first constant of the same value, for each constant whose value is known."""
    first: dict[tuple[str, str, tuple[int, ...]], str] = {}
    return {
        name: first.setdefault((tensor.content, tensor.dtype, tensor.shape), name)
        for name, tensor in graph.tensors.items()
        if tensor.content
    }
