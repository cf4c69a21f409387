"""ONNX files for tests: the architectures that the onnx package carries, and small ones made on the spot."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LIGHT_DIRECTORY = Path(onnx.__file__).parent / "backend/test/data/light"
LIGHT = tuple(sorted(path.stem.removeprefix("light_") for path in LIGHT_DIRECTORY.glob("light_*.onnx")))


def light(name: str) -> bytes:
    """Return the bytes of one of the light models."""
    return (LIGHT_DIRECTORY / f"light_{name}.onnx").read_bytes()


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Sequence[int | str | None]]],
    outputs: Sequence[str],
    weights: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    """Return the bytes of an ONNX file with float inputs."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=10, functions=functions
    ).SerializeToString()


def node(op_type: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """Return a node; tensor names are separated by blanks."""
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)
