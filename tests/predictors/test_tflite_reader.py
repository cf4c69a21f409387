import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.cost import macs
from predictors.graph import ModelGraph
from predictors.graph_errors import GraphError, GraphFault
from predictors.model_file import Limits, is_tflite
from predictors.tflite_reader import read
from tests.tflite_models import small_tflite


def test_operators_come_channels_first_with_their_options() -> None:
    data = small_tflite()
    graph = read(data)
    assert is_tflite(data)
    assert graph.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    conv, depthwise, custom, dense = (node.operator for node in graph.nodes)
    assert conv.op_type == "Conv2D"
    assert conv.inputs == ((1, 3, 32, 32), (8, 3, 3, 3))
    assert conv.outputs == ((1, 8, 16, 16),)
    assert conv.attributes["strides"] == [2, 2]
    assert conv.attributes["activation"] == "Relu6"
    assert conv.attributes["auto_pad"] == "SAME_UPPER"
    assert depthwise.op_type == "DepthwiseConv2D"
    assert depthwise.inputs[1] == (8, 1, 3, 3)
    assert depthwise.attributes["group"] == 8
    assert custom.op_type == "Flattener"
    assert dense.op_type == "FullyConnected"
    assert macs(conv) == 8 * 16 * 16 * 3 * 9
    assert macs(depthwise) == 8 * 16 * 16 * 9
    assert macs(dense) == 10 * 2048
    assert graph.predecessors == ((), (0,), (1,), (2,))
    assert [graph.tensors[name].constant for name in graph.nodes[0].inputs] == [False, True]
    assert ModelGraph.from_json(graph.to_json()) == graph


def test_shapes_cannot_be_bound_anew() -> None:
    data = small_tflite()
    name = read(data).inputs[0]
    assert read(data, input_shapes={name: (1, 3, 32, 32)})
    with pytest.raises(GraphError, match="fixed"):
        read(data, input_shapes={name: (1, 3, 64, 64)})


def test_cycles_and_limits() -> None:
    with pytest.raises(GraphError) as caught:
        read(small_tflite(last_input=7))
    assert caught.value.fault is GraphFault.CYCLE
    with pytest.raises(GraphError) as caught:
        read(small_tflite(), limits=Limits(nodes=2))
    assert caught.value.fault is GraphFault.TOO_LARGE
    with pytest.raises(GraphError) as caught:
        read(small_tflite(), limits=Limits(seconds=0.0))
    assert caught.value.fault is GraphFault.TOO_SLOW


def test_other_files_are_refused() -> None:
    with pytest.raises(GraphError, match="PNG"):
        read(b"\x89PNG\r\n")
    with pytest.raises(GraphError, match="TFL3"):
        read(b"something else entirely")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fuzzed_files_raise_only_graph_errors(draw: st.DataObject) -> None:
    data = bytearray(small_tflite())
    for _ in range(draw.draw(st.integers(1, 6))):
        data[draw.draw(st.integers(8, len(data) - 1))] = draw.draw(st.integers(0, 255))
    data = data[: draw.draw(st.integers(8, len(data)))]
    start = time.thread_time()
    try:
        read(bytes(data))
    except GraphError as error:
        assert str(error)  # noqa: PT017
    assert time.thread_time() - start < 10.0
