import hashlib
import time
import tracemalloc

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from predictors.graph import ModelGraph
from predictors.graph_errors import GraphError, GraphFault
from predictors.onnx_reader import Limits, read
from tests.onnx_models import LIGHT, light, model, node

BUDGET_S = 10.0  # generous: processors differ; the reader's own clock stops at 1.8 s of computing


def fault(data: bytes, **options: object) -> GraphFault:
    start = time.thread_time()
    with pytest.raises(GraphError) as caught:
        read(data, **options)
    assert str(caught.value)
    assert time.thread_time() - start < BUDGET_S
    return caught.value.fault


@pytest.mark.parametrize("name", LIGHT)
def test_light_models_have_every_shape(name: str) -> None:
    data = light(name)
    graph = read(data)
    assert graph.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert all(node.operator.outputs for node in graph.nodes)
    assert 1000 in graph.tensors[graph.outputs[0]].shape
    for index, before in enumerate(graph.predecessors):
        assert all(earlier < index for earlier in before)
    assert ModelGraph.from_json(graph.to_json()) == graph


def test_absent_weights_are_enough() -> None:
    weights = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[8, 3, 3, 3])
    graph = onnx.load_from_string(model([node("Conv", "x w", "y")], [("x", [1, 3, 10, 10])], ["y"]))
    graph.graph.initializer.append(weights)
    assert read(graph.SerializeToString()).nodes[0].operator.outputs == ((1, 8, 8, 8),)


def test_external_weights_are_not_opened() -> None:
    weights = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    graph = onnx.load_from_string(model([node("MatMul", "x w", "y")], [("x", [4, 2])], ["y"]))
    graph.graph.initializer.append(weights)
    assert read(graph.SerializeToString()).nodes[0].operator.outputs == ((4, 3),)


def test_symbols_bind_across_inputs() -> None:
    data = model([node("Add", "a b", "y")], [("a", ["n", 4]), ("b", ["n", 4])], ["y"])
    assert fault(data) is GraphFault.UNBOUND_AXES
    graph = read(data, input_shapes={"a": (3, 4)})
    assert graph.tensors["y"].shape == (3, 4)
    assert fault(data, input_shapes={"a": (3, 5)}) is GraphFault.BAD_SHAPE
    assert fault(data, input_shapes={"c": (3, 5)}) is GraphFault.BAD_SHAPE
    assert fault(data, input_shapes={"a": (-1, 4)}) is GraphFault.BAD_SHAPE


def test_exported_attention_keeps_its_shapes() -> None:
    """The reshape arithmetic of an exported attention block is evaluated, not guessed."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "batch", axis=0),
        node("Gather", "s one", "length", axis=0),
        node("Unsqueeze", "batch axis0", "batch1"),
        node("Unsqueeze", "length axis0", "length1"),
        node("Concat", "batch1 length1 heads width", "target", axis=0),
        node("MatMul", "x w", "q"),
        node("Reshape", "q target", "split"),
        node("Transpose", "split", "query", perm=[0, 2, 1, 3]),
        node("Transpose", "split", "key", perm=[0, 2, 3, 1]),
        node("MatMul", "query key", "scores"),
        node("Softmax", "scores", "y", axis=-1),
    ]
    weights = {
        "zero": np.array(0),
        "one": np.array(1),
        "axis0": np.array([0]),
        "heads": np.array([4]),
        "width": np.array([8]),
        "w": np.zeros((32, 32), np.float32),
    }
    graph = read(
        model(nodes, [("x", ["batch", "length", 32])], ["y"], weights), input_shapes={"x": (2, 7, 32)}
    )
    assert graph.tensors["y"].shape == (2, 4, 7, 7)


def test_control_flow_is_opaque_and_depends_on_what_it_captures() -> None:
    def branch(name: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])
        return helper.make_graph([node("Relu", "hidden", name)], name, [], [output])

    nodes = [
        node("Sigmoid", "x", "hidden"),
        node("ReduceMax", "x", "top", keepdims=0),
        node("Cast", "top", "flag", to=TensorProto.BOOL),
        node("If", "flag", "y", then_branch=branch("a"), else_branch=branch("b")),
    ]
    graph = read(model(nodes, [("x", [2])], ["y"]))
    assert graph.nodes[3].operator.op_type == "If"
    assert graph.predecessors[3] == (0, 2)


def test_other_vendors_operators_are_kept() -> None:
    custom = helper.make_node("Mystery", ["x"], ["h"], domain="acme")
    graph = read(model([custom, node("Relu", "h", "y")], [("x", [2])], ["y"]))
    assert [item.operator.op_type for item in graph.nodes] == ["Mystery", "Relu"]
    assert graph.nodes[1].operator.inputs == ()


def test_local_functions_are_inlined() -> None:
    body = helper.make_function(
        "local", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [helper.make_opsetid("", 17)]
    )
    call = helper.make_node("Twice", ["x"], ["y"], domain="local")
    graph = read(model([call], [("x", [2])], ["y"], functions=[body]))
    assert [item.operator.op_type for item in graph.nodes] == ["Add"]


def test_unsorted_nodes_are_sorted() -> None:
    graph = read(model([node("Relu", "h", "y"), node("Neg", "x", "h")], [("x", [2])], ["y"]))
    assert [item.operator.op_type for item in graph.nodes] == ["Neg", "Relu"]


def test_schema_defaults_are_filled_in() -> None:
    graph = read(model([node("Softmax", "x", "y")], [("x", [2, 3])], ["y"]))
    assert graph.nodes[0].operator.attributes == {"axis": -1}


@pytest.mark.parametrize("size", [0, 1, 7, 100, 2000])
def test_truncated_files_are_refused_or_read_short(size: int) -> None:
    data = light("resnet50")[:size]
    assert fault(data) in {GraphFault.NOT_A_MODEL, GraphFault.CORRUPT, GraphFault.DANGLING}


def test_what_is_not_onnx_is_called_by_its_name() -> None:
    with pytest.raises(GraphError, match="PNG"):
        read(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert fault(b'{"nodes": []}') is GraphFault.NOT_A_MODEL
    assert fault(b"hello world, this is text") in {GraphFault.NOT_A_MODEL, GraphFault.CORRUPT}


def test_limits() -> None:
    data = light("squeezenet")
    assert fault(data, limits=Limits(size_bytes=1000)) is GraphFault.TOO_LARGE
    assert fault(data, limits=Limits(nodes=10)) is GraphFault.TOO_LARGE
    assert fault(data, limits=Limits(seconds=0.0)) is GraphFault.TOO_SLOW


def test_cycles_dangling_and_double_writes() -> None:
    cycle = [node("Add", "x b", "a"), node("Relu", "a", "b")]
    assert fault(model(cycle, [("x", [2])], ["b"])) is GraphFault.CYCLE
    assert fault(model([node("Relu", "nowhere", "y")], [("x", [2])], ["y"])) is GraphFault.DANGLING
    double = [node("Relu", "x", "y"), node("Neg", "x", "y")]
    assert fault(model(double, [("x", [2])], ["y"])) is GraphFault.CORRUPT


def test_shapes_that_do_not_fit_are_named() -> None:
    data = model([node("MatMul", "a b", "y")], [("a", [2, 3]), ("b", [4, 5])], ["y"])
    with pytest.raises(GraphError, match="MatMul"):
        read(data)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([node("ConstantOfShape", "huge", "y")], {"huge": np.array([2**20, 2**20])}),
        ([node("Expand", "x huge", "y")], {"huge": np.array([2**20, 2**20, 2])}),
        ([node("Tile", "x huge", "y")], {"huge": np.array([2**40])}),
        ([node("Range", "a b c", "y")], {"a": np.array(0), "b": np.array(2**60), "c": np.array(1)}),
        ([node("Resize", "x  s", "y")], {"s": np.array([1e12], np.float32)}),
    ],
)
def test_huge_results_are_never_allocated(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]
) -> None:
    data = model(nodes, [("x", [2])], ["y"], weights)
    tracemalloc.start()
    start = time.thread_time()
    try:
        read(data)
    except GraphError as error:
        assert error.fault is GraphFault.BAD_SHAPE  # noqa: PT017
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2**26
    assert time.thread_time() - start < BUDGET_S


def test_doubling_values_stay_small() -> None:
    nodes = [node("Concat", f"v{step} v{step}", f"v{step + 1}", axis=0) for step in range(40)]
    nodes.append(node("Reshape", "x v40", "y"))
    data = model(nodes, [("x", [2])], ["y"], {"v0": np.array([1, 1])})
    start = time.thread_time()
    try:
        read(data)
    except GraphError as error:
        assert error.fault is GraphFault.BAD_SHAPE  # noqa: PT017
    assert time.thread_time() - start < BUDGET_S


def test_function_bombs_are_refused() -> None:
    def doubled(level: int) -> onnx.FunctionProto:
        inner = f"F{level - 1}" if level else "Neg"
        domain = "local" if level else ""
        body = [
            helper.make_node(inner, ["a"], ["h"], domain=domain),
            helper.make_node(inner, ["h"], ["b"], domain=domain),
        ]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
        return helper.make_function("local", f"F{level}", ["a"], ["b"], body, opsets)

    call = helper.make_node("F40", ["x"], ["y"], domain="local")
    data = model([call], [("x", [2])], ["y"], functions=[doubled(level) for level in range(41)])
    assert fault(data) is GraphFault.TOO_LARGE


def test_deep_nesting_is_refused() -> None:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    inner = helper.make_graph([node("Relu", "x", "y")], "g", [], [output])
    for _ in range(12):
        branch = node("If", "flag", "y", then_branch=inner, else_branch=inner)
        inner = helper.make_graph([branch], "g", [], [output])
        if inner.ByteSize() > 2**22:
            break
    data = model(inner.node, [("x", [2]), ("flag", [])], ["y"])
    assert fault(data) in {GraphFault.TOO_DEEP, GraphFault.CORRUPT, GraphFault.TOO_LARGE}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_fuzzed_files_raise_only_graph_errors(draw: st.DataObject) -> None:
    data = bytearray(light("squeezenet"))
    for _ in range(draw.draw(st.integers(1, 8))):
        place = draw.draw(st.integers(0, len(data) - 1))
        data[place] = draw.draw(st.integers(0, 255))
    try:
        graph = read(bytes(data))
    except GraphError as error:
        assert str(error)  # noqa: PT017
    else:
        assert graph.nodes


def test_a_detection_head_parses() -> None:
    """Results whose size depends on data have no shape; what reads them is kept all the same."""
    nodes = [
        node("Conv", "image w", "features", pads=[1, 1, 1, 1]),
        node("Resize", "features roi scales", "up", mode="nearest"),
        node("Reshape", "up flat", "boxes"),
        node("Slice", "boxes zero four axis2", "corners"),
        node("Slice", "boxes four five axis2", "score"),
        node("Transpose", "score", "scores", perm=[0, 2, 1]),
        node("NonMaxSuppression", "corners scores most overlap", "chosen"),
        node("Gather", "chosen column", "index", axis=1),
        node("GatherND", "corners index2", "picked"),
        node("TopK", "scores many", "best places", axis=-1),
    ]
    nodes.insert(8, node("Unsqueeze", "index axis1", "index2"))
    weights = {
        "w": np.zeros((6, 3, 3, 3), np.float32),
        "roi": np.array([], np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "flat": np.array([1, -1, 6]),
        "zero": np.array([0]),
        "four": np.array([4]),
        "five": np.array([5]),
        "axis2": np.array([2]),
        "axis1": np.array([1]),
        "most": np.array([10]),
        "overlap": np.array([0.5], np.float32),
        "column": np.array(2),
        "many": np.array([7]),
    }
    graph = read(model(nodes, [("image", [1, 3, 16, 16])], ["picked", "best"], weights))
    assert graph.tensors["boxes"].shape == (1, 1024, 6)
    assert graph.tensors["best"].shape == (1, 1, 7)
    by_type = {item.operator.op_type: item.operator for item in graph.nodes}
    assert by_type["NonMaxSuppression"].outputs == ()
    assert by_type["GatherND"].inputs == ((1, 1024, 4),)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21])
def test_operator_sets_old_and_new(opset: int) -> None:
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "b"), node("GlobalAveragePool", "b", "y")]
    weights = {"w": np.zeros((4, 3, 3, 3), np.float32)}
    graph = read(model(nodes, [("x", [1, 3, 8, 8])], ["y"], weights, opset=opset))
    assert graph.tensors["y"].shape == (1, 4, 1, 1)
