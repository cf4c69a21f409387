"""Strides and kernels as operators really run them, where descriptions are silent or contradict their shapes.

Converters drop hyper-parameters, and some name a kernel that cannot produce the shapes beside it. What the
shapes imply is used instead, and the commonest choice where even they leave it open.
"""

from functools import lru_cache
from math import prod

from predictors import cost
from predictors.graph import Operator, Shape

USUAL_POOL = (3, 3)


def spatial(shapes: tuple[Shape, ...]) -> Shape:
    """Return the dimensions of the first shape behind batch and channels; empty where there are none."""
    return shapes[0][2:] if shapes else ()


@lru_cache(maxsize=65_536)
def strides(operator: Operator) -> tuple[int, ...]:
    """Return the strides: declared, else how much the spatial size shrinks (grows, if transposed)."""
    declared = cost.integers_attribute(operator, "strides")
    if declared:
        return declared
    before, after = spatial(operator.inputs), spatial(operator.outputs)
    if len(before) != len(after) or not before or min(*before, *after) < 1:
        return (1, 1)
    if operator.op_type in cost.TRANSPOSED_CONVOLUTIONS:
        before, after = after, before
    return tuple(max(round(larger / smaller), 1) for larger, smaller in zip(before, after, strict=True))


@lru_cache(maxsize=65_536)
def kernel(operator: Operator) -> tuple[int, ...]:
    """Return the spatial kernel, empty for operators that have none or do not tell.

    A declared kernel k with stride s maps a size i to at most (i - k) / s + 1 plus padding, so an output o
    needs k > i - o s: a smaller declared one is raised to the next odd size. Pools that declare none
    are taken to be 3x3, or as large as their input where they leave one pixel; transposed convolutions twice
    their stride, the smallest kernel that leaves no gap pattern.
    """
    declared = cost.kernel_shape(operator)
    before, after = spatial(operator.inputs), spatial(operator.outputs)
    if not declared:
        if operator.op_type in cost.TRANSPOSED_CONVOLUTIONS:
            return tuple(2 * step for step in strides(operator))
        if operator.op_type in cost.POOLS and len(before) == len(after) == 2:
            return before if max(after) <= 1 else USUAL_POOL
        return ()
    steps = strides(operator)
    if operator.op_type in cost.TRANSPOSED_CONVOLUTIONS or not (
        len(declared) == len(before) == len(after) == len(steps)
    ):
        return declared
    needed = [size - out * step + 1 for size, out, step in zip(before, after, steps, strict=True)]
    return tuple(
        own if own >= least or out < 1 else least + (least + 1) % 2
        for own, least, out in zip(declared, needed, after, strict=True)
    )


def kernel_correction(operator: Operator) -> float:
    """Return by how much the kernel's area exceeds the declared one, 1 where nothing contradicts it."""
    declared = cost.kernel_shape(operator)
    area = prod(declared)
    return prod(kernel(operator)) / area if declared and area > 0 else 1.0


def channels(operator: Operator) -> tuple[int, int]:
    """Return input and output channels, 1 where a shape has none."""
    data = operator.inputs[0] if operator.inputs else ()
    out = operator.outputs[0] if operator.outputs else ()
    return cost.dimension(data, 1), cost.dimension(out, 1)
