"""The work that a kernel really executes for an operator: channels padded to vectors, Winograd's savings.

Descriptions count useful products; processors execute whole vectors of channels, and square convolutions of
stride 1 run as Winograd transforms wherever the framework can.
"""

from functools import lru_cache
from math import ceil, prod
from typing import NamedTuple

from predictors import cost
from predictors.families import DENSE, UNROLLED, family
from predictors.geometry import channels, kernel, kernel_correction
from predictors.graph import Operator, element_count

VECTOR_CHANNELS = 4
"""Channels are packed by four (one 128-bit vector of float32) in mobile kernels and GPU textures."""

_POWER_OPERATIONS = 40.0
"""Products that one scalar power costs: local response normalisation is made of little else."""


class Work(NamedTuple):
    """Executed multiply-accumulates, and bytes of activations and of weights that are really touched."""

    macs: float
    activation_bytes: float
    weight_bytes: float


def padding(count: int) -> float:
    """Return how much larger a channel count becomes when it is filled up to whole vectors."""
    return ceil(count / VECTOR_CHANNELS) * VECTOR_CHANNELS / count if count > 0 else 1.0


def winograd_saving(operator: Operator) -> float:
    """Return the share of products left by F(2x2, k x k): (k + 1)² / 4k² (Lavin and Gray, CVPR 2016)."""
    size = kernel(operator)[0]
    return (size + 1) ** 2 / (4.0 * size * size)


def patch_bytes(operator: Operator) -> float:
    """Return the bytes of all patches under a sliding window: what unrolling them for a product touches."""
    out = operator.outputs[0] if operator.outputs else ()
    group = max(cost.integer_attribute(operator, "group", 1), 1)
    patches = prod(out[2:]) * max(channels(operator)[0] // group, 1) * group * prod(kernel(operator))
    return float(max(patches, 0) * cost.element_bytes(operator))


@lru_cache(maxsize=65_536)
def work(operator: Operator) -> Work:
    """Return the work of one execution; finite and non-negative for any operator.

    Winograd's transforms touch (k + 1)² / 4 values where the convolution has one; other spatial convolutions
    become a matrix product of patches that are first written, then read.
    """
    kind = family(operator)
    before, after = (padding(count) for count in channels(operator))
    macs = _useful_macs(operator)
    if kind == "winograd_convolution":
        macs *= winograd_saving(operator)
    macs *= before * after if kind in DENSE and kind != "grouped_convolution" else after
    activations = cost.input_bytes(operator) * before + cost.output_bytes(operator) * after
    if kind == "winograd_convolution":
        activations *= (kernel(operator)[0] + 1) ** 2 / 4.0
    elif kind in UNROLLED:
        activations += 2.0 * patch_bytes(operator) * before
    return Work(macs, activations, cost.weight_bytes(operator) * kernel_correction(operator))


def _useful_macs(operator: Operator) -> float:
    declared = bool(cost.kernel_shape(operator))
    if not declared and operator.op_type in cost.POOLS:
        return cost.macs(operator) * prod(kernel(operator))
    if not declared and operator.op_type in cost.TRANSPOSED_CONVOLUTIONS:
        return cost.macs(operator) * prod(kernel(operator))
    if operator.op_type == "LRN":
        elements = float(sum(element_count(shape) for shape in operator.outputs))
        return cost.macs(operator) + _POWER_OPERATIONS * elements
    return cost.macs(operator) * kernel_correction(operator)
