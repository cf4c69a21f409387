import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from predictors import fusion
from predictors.onnx_reader import read
from predictors.tflite_reader import read as read_tflite
from tests.onnx_models import LIGHT, LIGHT_DIRECTORY, encoder, light, model, node
from tests.tflite_models import small_tflite


def profiled(path: Path, directory: Path) -> list[str]:
    """Type and shapes of each kernel that ONNX Runtime reports for one run of a model."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(directory / "profile")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {item.name: np.ones(item.shape, np.float32) for item in session.get_inputs()})
    events = json.loads(Path(session.end_profiling()).read_text())
    return [
        json.dumps(
            [
                event["args"]["op_name"],
                *[
                    [shape for entry in event["args"][key] for shape in entry.values()]
                    for key in ("input_type_shape", "output_type_shape")
                ],
            ]
        )
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


@pytest.mark.parametrize("name", LIGHT)
def test_kernels_are_those_that_onnxruntime_runs(name: str, tmp_path: Path) -> None:
    assert_exact(LIGHT_DIRECTORY / f"light_{name}.onnx", tmp_path)


@pytest.mark.parametrize("decomposed", [True, False])
def test_transformer_kernels_are_those_that_onnxruntime_runs(*, decomposed: bool, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(encoder(decomposed=decomposed))
    assert_exact(path, tmp_path)


def assert_exact(path: Path, directory: Path) -> None:
    """On this host, whatever its block size, one of the mappings is what ONNX Runtime runs."""
    graph = read(path.read_bytes())
    ran = Counter(profiled(path, directory))
    differences = {}
    for mapping in fusion.FRAMEWORKS["onnxruntime"]:
        operators = fusion.kernels(graph, "onnxruntime", mapping).operators
        mapped = Counter(json.dumps([item.op_type, item.inputs, item.outputs]) for item in operators)
        differences[mapping] = (mapped - ran).total() + (ran - mapped).total()
    assert min(differences.values()) == 0, differences


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("framework", [*fusion.FRAMEWORKS, "unheard-of 1.0"])
def test_every_operator_is_covered_once_and_order_holds(name: str, framework: str) -> None:
    graph = read(light(name))
    kernels = fusion.kernels(graph, framework)
    covered = Counter([item for names in kernels.covers for item in names] + list(kernels.folded))
    assert covered == Counter(item.name for item in graph.nodes)
    for index, before in enumerate(kernels.graph.predecessors):
        assert all(earlier < index for earlier in before)
    written = {item for kernel in kernels.graph.nodes for item in kernel.outputs}
    assert set(graph.outputs) <= written
    assert len({kernel.name for kernel in kernels.graph.nodes}) == len(kernels.graph.nodes)
    assert fusion.KernelGraph.from_json(json.loads(json.dumps(kernels.to_json()))) == kernels


def test_a_residual_convolution_takes_in_its_sum_and_activation() -> None:
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Add", "a x0", "b"),
        node("Relu", "b", "y"),
    ]
    nodes.insert(0, node("Conv", "x0 w", "x", pads=[1, 1, 1, 1]))
    data = model(nodes, [("x0", [1, 16, 8, 8])], ["y"], {"w": np.zeros((16, 16, 3, 3), np.float32)})
    kernels = fusion.kernels(read(data))
    assert [item.op_type for item in kernels.operators] == ["ReorderInput", "Conv", "Conv", "ReorderOutput"]
    assert kernels.operators[2].attributes["activation"] == "Relu"
    assert len(kernels.operators[2].inputs) == 3


def test_gelu_written_out_becomes_one_kernel() -> None:
    nodes = [
        node("Div", "x root", "d"),
        node("Erf", "d", "e"),
        node("Add", "one e", "a"),
        node("Mul", "x a", "m"),
        node("Mul", "m half", "y"),
    ]
    weights = {
        name: np.array(value, np.float32) for name, value in (("root", 1.4), ("one", 1), ("half", 0.5))
    }
    kernels = fusion.kernels(read(model(nodes, [("x", [2, 8])], ["y"], weights)))
    assert [item.op_type for item in kernels.operators] == ["Gelu"]
    assert len(kernels.covers[0]) == 5


def test_a_result_read_outside_blocks_its_fusion() -> None:
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "y"), node("Neg", "a", "z")]
    data = model(nodes, [("x", [1, 3, 8, 8])], ["y", "z"], {"w": np.zeros((5, 3, 3, 3), np.float32)})
    kernels = fusion.kernels(read(data), mapping="onnxruntime/plain")
    assert [item.op_type for item in kernels.operators] == ["Conv", "Relu", "Neg"]


def test_a_dropped_identity_still_writes_the_graphs_output() -> None:
    nodes = [node("Relu", "x", "a"), node("Identity", "a", "y")]
    kernels = fusion.kernels(read(model(nodes, [("x", [2])], ["y"])))
    assert [item.outputs for item in kernels.graph.nodes] == [("y",)]


@pytest.mark.parametrize("framework", ["tflite", "mnn"])
def test_phone_frameworks_fold_normalisation_and_activation(framework: str) -> None:
    types = Counter(item.op_type for item in fusion.kernels(read(light("resnet50")), framework).operators)
    assert types["Conv"] == 53
    assert types["BatchNormalization"] == 0
    # Only the activations behind the residual sums stand alone, and TFLite has none of its own for `Sum`.
    assert types["Relu"] == 16


def test_a_tflite_file_runs_as_it_is_written() -> None:
    graph = read_tflite(small_tflite())
    kernels = fusion.kernels(graph, "tflite 2.18")
    assert kernels.operators == [node.operator for node in graph.nodes]
