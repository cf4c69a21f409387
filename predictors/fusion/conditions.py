"""Conditions that fusion patterns name."""

from predictors.fusion.rewriting import Op, Rewriting
from predictors.graph import element_count


def constant_weights(graph: Rewriting, first: Op, _second: Op) -> bool:
    """Hold where the first operator's weights are known when the model is loaded."""
    return len(first.inputs) > 1 and all(graph.is_constant(name) for name in first.inputs[1:3])


def per_channel_constant(graph: Rewriting, first: Op, second: Op) -> bool:
    """Hold where the second operator's other operand is one known value a channel (or one for all)."""
    if not constant_weights(graph, first, second):
        return False
    others = [name for name in second.inputs if name not in first.outputs]
    if len(others) != 1 or not graph.is_constant(others[0]):
        return False
    shape, result = graph.shape(others[0]), graph.shape(second.outputs[0])
    if element_count(shape) == 1:
        return True
    rank = len(result)
    padded = (1,) * (rank - len(shape)) + shape
    return rank > 2 and all(size == 1 for axis, size in enumerate(padded) if axis != 1)


def known_statistics(graph: Rewriting, first: Op, second: Op) -> bool:
    """Hold where a normalisation's parameters and the weights that take them in are known."""
    return constant_weights(graph, first, second) and all(
        graph.is_constant(name) for name in second.inputs[1:]
    )


def matrix_plus_bias(graph: Rewriting, first: Op, second: Op) -> bool:
    """Hold for a product of two matrices plus a bias that broadcasts over its rows."""
    if any(len(graph.shape(name)) != 2 for name in first.inputs):
        return False
    others = [name for name in second.inputs if name not in first.outputs]
    if len(others) != 1:
        return False
    shape, result = graph.shape(others[0]), graph.shape(second.outputs[0])
    return shape in {result[1:], (1, *result[1:]), result} and result == graph.shape(first.outputs[0])


def bounded_by_constants(graph: Rewriting, _first: Op, second: Op) -> bool:
    """Hold where all further inputs of the second operator are known when the model is loaded."""
    return all(graph.is_constant(name) for name in second.inputs[1:])
