"""A file without its weights reads the same and is small."""

import numpy as np
import pytest

from predictors import onnx_reader
from predictors.onnx_skeleton import skeleton
from tests.onnx_models import LIGHT, light, model, node


@pytest.mark.parametrize("name", LIGHT)
def test_it_reads_as_the_file_does(name: str) -> None:
    whole, bare = onnx_reader.read(light(name)), onnx_reader.read(skeleton(light(name)))
    assert (bare.nodes, bare.tensors) == (whole.nodes, whole.tensors)


def test_weights_are_gone() -> None:
    weights = {"w": np.ones((300, 300), np.float32)}
    data = model([node("MatMul", "x w", "y")], [("x", [1, 300])], ["y"], weights)
    assert len(data) > 300_000
    assert len(skeleton(data)) < 1_000
