"""From a model file's operators to the kernels that a framework really runs."""

from collections.abc import Callable, Mapping, Sequence

from predictors.fusion import onnxruntime, phones
from predictors.fusion.kernel_graph import KernelGraph
from predictors.fusion.reconcile import agreement, reconcile
from predictors.fusion.rewriting import Rewriting
from predictors.graph import ModelGraph, Operator

__all__ = ["FRAMEWORKS", "KernelGraph", "fitted", "kernels"]

Rewrite = Callable[[Rewriting], None]


def _blocked(block: int) -> Rewrite:
    return lambda graph: onnxruntime.rewrite(graph, block)


FRAMEWORKS: Mapping[str, Mapping[str, Rewrite]] = {
    "onnxruntime": {
        "onnxruntime/nchwc16": _blocked(16),
        "onnxruntime/nchwc8": _blocked(8),
        "onnxruntime/plain": _blocked(0),
    },
    "tflite": {"tflite": phones.rewrite_tflite},
    "mnn": {"mnn": phones.rewrite_mnn},
}
"""For each framework its mappings by name, the likeliest first."""

IDENTITY: Mapping[str, Rewrite] = {"identity": lambda _graph: None}


def kernels(graph: ModelGraph, framework: str = "onnxruntime", mapping: str | None = None) -> KernelGraph:
    """Return the kernels that `framework` runs for a model, each with the file's operators that it covers.

    A framework without rules runs each operator as it is written, under the mapping `identity`. Versions in
    the framework's name ("onnxruntime 1.31.1") are ignored; `mapping` picks one of its variants.
    """
    name = framework.strip().partition(" ")[0].lower()
    variants = FRAMEWORKS.get(name, IDENTITY)
    chosen = mapping if mapping is not None and mapping in variants else next(iter(variants))
    rewriting = Rewriting(graph)
    variants[chosen](rewriting)
    return rewriting.freeze(name, chosen)


def fitted(graph: ModelGraph, framework: str, reported: Sequence[Operator]) -> KernelGraph:
    """Return the framework's mapping that fits a reported kernel sequence best, corrected by it."""
    name = framework.strip().partition(" ")[0].lower()
    variants = [kernels(graph, framework, mapping) for mapping in FRAMEWORKS.get(name, IDENTITY)]
    return reconcile(max(variants, key=lambda variant: agreement(variant, reported)), reported)
