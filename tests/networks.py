"""Small real ONNX networks with seeded weights."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def convolution_network(seed: int = 0, ir_version: int = 10, name: str = "small") -> onnx.ModelProto:
    """Two convolutions with batch normalisation and ReLU, pooling, a fully connected layer; no names."""
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) * 0.2, name)

    def positive(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.random(shape).astype(np.float32) + 0.5, name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "s", "o", "m", "v"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [
            weight("w1", 16, 3, 3, 3),
            weight("b1", 16),
            *(positive(name, 16) for name in "somv"),
            weight("w2", 32, 16, 3, 3),
            weight("b2", 32),
            weight("w3", 10, 32),
            weight("b3", 10),
        ],
    )
    return _model(graph, ir_version)


def loop_network(trips: int = 3) -> onnx.ModelProto:
    """A Loop whose body multiplies and adds, between two other nodes."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_out"]),
            helper.make_node("MatMul", ["state", "w"], ["product"]),
            helper.make_node("Tanh", ["product"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [64, 64]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [64, 64]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Sigmoid", ["x"], ["before"]),
            helper.make_node("Loop", ["trips", "", "before"], ["after"], body=body),
            helper.make_node("Sigmoid", ["after"], ["y"]),
        ],
        "loop",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64, 64])],
        [
            numpy_helper.from_array(np.array(trips, dtype=np.int64), "trips"),
            numpy_helper.from_array(np.full((64, 64), 0.01, dtype=np.float32), "w"),
        ],
    )
    return _model(graph, 10)


def write(model: onnx.ModelProto, folder: Path, name: str | None = None) -> Path:
    """Save a network as a file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or model.graph.name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _model(graph: onnx.GraphProto, ir_version: int) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version)
    onnx.checker.check_model(model)
    return model
