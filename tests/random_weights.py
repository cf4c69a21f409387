"""Seeded random weights for models whose weights are constants, so that results can be compared."""

import math

import numpy as np
import onnx
from onnx import numpy_helper


def with_random_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Replace each `ConstantOfShape` and each float initialiser by random numbers of a sensible size."""
    rng = np.random.default_rng(seed)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    del result.graph.node[:]
    variances = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            shape = tuple(int(size) for size in shapes[node.input[0]])
            name = node.output[0]
            result.graph.initializer.append(
                numpy_helper.from_array(_draw(rng, shape, positive=name in variances), name)
            )
        else:
            result.graph.node.append(node)
    return result


def _draw(rng: np.random.Generator, shape: tuple[int, ...], *, positive: bool) -> np.ndarray:
    if positive:
        return (rng.random(shape) + 0.5).astype(np.float32)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 10
    return (rng.standard_normal(shape) / math.sqrt(max(1, fan_in)) * 1.3).astype(np.float32)
