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


def encoder(*, decomposed: bool, length: int = 16, width: int = 64, heads: int = 4) -> bytes:
    """Return one transformer encoder layer as exporters write it.

    `decomposed` writes the normalisations out as older exporters do.
    """
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: np.ndarray | np.generic) -> str:
        weights[name] = np.asarray(value)
        return name

    def random(name: str, *shape: int) -> str:
        return constant(name, rng.standard_normal(shape).astype(np.float32) * np.float32(0.05))

    def normalised(source: str, target: str) -> None:
        tag = f"{target}_"
        scale, bias = random(f"{tag}scale", width), random(f"{tag}bias", width)
        if not decomposed:
            nodes.append(node("LayerNormalization", f"{source} {scale} {bias}", target, axis=-1))
            return
        two, epsilon = constant(f"{tag}two", np.float32(2)), constant(f"{tag}eps", np.float32(1e-5))
        nodes.extend(
            [
                node("ReduceMean", source, f"{tag}u", axes=[-1]),
                node("Sub", f"{source} {tag}u", f"{tag}s"),
                node("Pow", f"{tag}s {two}", f"{tag}p"),
                node("ReduceMean", f"{tag}p", f"{tag}v", axes=[-1]),
                node("Add", f"{tag}v {epsilon}", f"{tag}a"),
                node("Sqrt", f"{tag}a", f"{tag}r"),
                node("Div", f"{tag}s {tag}r", f"{tag}d"),
                node("Mul", f"{tag}d {scale}", f"{tag}m"),
                node("Add", f"{tag}m {bias}", target),
            ]
        )

    def linear(source: str, target: str, inner: int, outer: int) -> None:
        nodes.append(node("MatMul", f"{source} {random(f'{target}_w', inner, outer)}", f"{target}_mm"))
        nodes.append(node("Add", f"{target}_mm {random(f'{target}_b', outer)}", target))

    normalised("x", "h")
    split = constant("split", np.array([1, length, heads, width // heads]))
    for part in "qkv":
        linear("h", part, width, width)
        nodes.append(node("Reshape", f"{part} {split}", f"{part}_r"))
        nodes.append(
            node("Transpose", f"{part}_r", f"{part}_t", perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3])
        )
    nodes.append(node("MatMul", "q_t k_t", "scores"))
    nodes.append(node("Div", f"scores {constant('root', np.float32(4))}", "scaled"))
    nodes.append(node("Softmax", "scaled", "attention", axis=-1))
    nodes.append(node("MatMul", "attention v_t", "mixed"))
    nodes.append(node("Transpose", "mixed", "mixed_t", perm=[0, 2, 1, 3]))
    nodes.append(node("Reshape", f"mixed_t {constant('joined', np.array([1, length, width]))}", "context"))
    linear("context", "o", width, width)
    nodes.append(node("Add", "o x", "residual"))
    normalised("residual", "h2")
    linear("h2", "f1", width, 4 * width)
    nodes.append(node("Div", f"f1 {constant('sqrt2', np.float32(1.4142135))}", "gelu_d"))
    nodes.append(node("Erf", "gelu_d", "gelu_e"))
    nodes.append(node("Add", f"gelu_e {constant('one', np.float32(1))}", "gelu_a"))
    nodes.append(node("Mul", "f1 gelu_a", "gelu_m"))
    nodes.append(node("Mul", f"gelu_m {constant('half', np.float32(0.5))}", "gelu"))
    linear("gelu", "f2", 4 * width, width)
    nodes.append(node("Add", "f2 residual", "y"))
    shape = [1, length, width]
    proto = onnx.load_from_string(model(nodes, [("x", shape)], ["y"], weights))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, shape))
    return proto.SerializeToString()
