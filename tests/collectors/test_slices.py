import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.models import find_models
from collectors.runners.onnxruntime_runner import OnnxRuntimeRunner
from collectors.slices import _network, cut, cut_channels, cut_gemm, cut_height, slice_network
from predictors.graph import Operator

CONV = Operator(
    "Conv",
    ((1, 8, 20, 14), (24, 8, 3, 3), (24,)),
    ((1, 24, 10, 7),),
    attributes={"activation": "Relu", "strides": [2, 2], "pads": [1, 1, 1, 1], "group": 1},
)
GEMM = Operator(
    "FusedGemm", ((1, 640), (40, 640), (40,)), ((1, 40),), attributes={"transB": 1, "activation": "Relu"}
)


def output_shapes(network: onnx.ModelProto) -> list[tuple[int, ...]]:
    session = ort.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {value.name: np.ones(value.shape, dtype=np.float32) for value in session.get_inputs()}
    return [output.shape for output in session.run(None, feed)]


def test_rows_are_cut_with_the_halo_they_need() -> None:
    piece = cut_height(CONV, 0.3)
    assert piece.output_shape == (1, 24, 3, 7)
    assert piece.input_shape == (1, 8, 6, 14)
    assert piece.attributes["pads"] == [1, 1, 0, 1]
    assert piece.relu


def test_channels_and_outputs_are_cut() -> None:
    assert cut_channels(CONV, 0.5).weight_shapes == ((12, 8, 3, 3), (12,))
    assert cut_gemm(GEMM, 0.1).weight_shapes == ((4, 640), (4,))
    assert cut_gemm(GEMM, 0.1).output_shape == (1, 4)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(4, 40),
    reach=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    grouped=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_slice_runs_and_gives_the_shape_it_says(
    *, rows: int, reach: int, stride: int, dilation: int, pads: tuple[int, int], grouped: bool, seed: int
) -> None:
    span = (reach - 1) * dilation + 1
    out_rows = (rows + sum(pads) - span) // stride + 1
    out_columns = (rows + 2 - span) // stride + 1
    if out_rows < 2 or out_columns < 1 or max(pads) >= span:
        return
    group = 4 if grouped else 1
    kernel = Operator(
        "Conv",
        ((1, 8, rows, rows), (12, 8 // group, reach, reach)),
        ((1, 12, out_rows, out_columns),),
        attributes={
            "strides": [stride, stride],
            "dilations": [dilation, dilation],
            "pads": [pads[0], 1, pads[1], 1],
            "group": group,
        },
    )
    piece = cut(kernel, random.Random(seed))
    assert output_shapes(_network([piece], np.random.default_rng(0))) == [piece.output_shape]


def test_a_network_of_slices_is_profiled_like_any_model(tmp_path: Path) -> None:
    network = slice_network([CONV, GEMM], random.Random(1))
    assert network is not None
    path = tmp_path / "slices.onnx"
    path.write_bytes(network.SerializeToString())
    (file,) = find_models(str(path))
    model = OnnxRuntimeRunner(tmp_path).load(file)
    model.run(profiled=True)
    (profile,) = model.collect()
    kernels = {kernel.op_type: kernel for kernel in profile.kernels}
    assert kernels["Conv"].attributes["activation"] == "Relu"
    assert kernels["FusedGemm"].inputs[1][1] == 640


@pytest.mark.parametrize(
    "kernel",
    [
        Operator("Relu", ((1, 8),), ((1, 8),)),
        Operator("Conv"),
        Operator("Conv", ((1, 8, 9), (4, 8, 3)), ((1, 4, 7),)),
        Operator("Conv", CONV.inputs, CONV.outputs, attributes={"auto_pad": "SAME_UPPER"}),
        Operator("Conv", CONV.inputs, CONV.outputs, dtype="float16"),
        Operator("Gemm", ((1, 18432), (40000, 18432)), ((1, 40000),), attributes={"transB": 1}),
    ],
)
def test_what_cannot_be_sliced_is_left_alone(kernel: Operator) -> None:
    assert slice_network([kernel], random.Random(0)) is None
