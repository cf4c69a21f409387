import json
from pathlib import Path

import onnx
import pytest

from collectors.errors import ModelError, ProfileError
from collectors.models import find_models
from collectors.runners.onnxruntime_runner import NEWEST_IR_VERSION, OnnxRuntimeModel, OnnxRuntimeRunner
from collectors.runners.ort_profile import split_runs
from tests import networks


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def load(path: Path, scratch: Path) -> OnnxRuntimeModel:
    (file,) = find_models(str(path))
    return OnnxRuntimeRunner(scratch).load(file)


def test_kernels_are_those_of_the_optimised_graph(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.convolution_network(), tmp_path), scratch)
    model.run(profiled=True)
    (profile,) = model.collect()
    types = [kernel.op_type for kernel in profile.kernels]
    assert "BatchNormalization" not in types
    first = next(kernel for kernel in profile.kernels if kernel.op_type == "Conv")
    assert first.attributes["activation"] == "Relu"
    assert first.attributes["pads"] == [1, 1, 1, 1]
    assert first.inputs[0] == (1, 3, 32, 32)
    assert first.outputs == ((1, 16, 32, 32),)
    gemm = next(kernel for kernel in profile.kernels if kernel.op_type.endswith("Gemm"))
    assert gemm.inputs == ((1, 32), (10, 32), (10,)), "weights are named although the kernel packed them away"
    assert {kernel.dtype for kernel in profile.kernels} == {"float32"}


def test_profiles_belong_to_their_runs_in_order(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.convolution_network(), tmp_path), scratch)
    timed = []
    for _ in range(3):
        model.run(profiled=False)
        timed.append(model.run(profiled=True))
    profiles = model.collect()
    assert [run.first for run in timed] == [True, False, False]
    assert len(profiles) == 3
    for run, profile in zip(timed, profiles, strict=True):
        assert len(profile.kernels) == len(profile.latency_us)
        assert sum(profile.latency_us) <= run.total_us + len(profile.latency_us)
    assert profiles[0].kernels is profiles[2].kernels, "a sequence of kernels is described once"


def test_a_new_session_begins_after_each_collection(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.convolution_network(), tmp_path), scratch)
    counts = []
    for runs in (2, 1, 0, 3):
        firsts = [model.run(profiled=True).first for _ in range(runs)]
        assert firsts == [True, False, False][:runs]
        counts.append(len(model.collect()))
    assert counts == [2, 1, 0, 3]


def test_sessions_made_in_the_same_millisecond_keep_their_profiles_apart(
    tmp_path: Path, scratch: Path
) -> None:
    path = networks.write(networks.convolution_network(), tmp_path)
    models = [load(path, scratch) for _ in range(4)]
    for _ in range(5):
        for model in models:
            model.prepare(profiled=True)
        for runs, model in enumerate(models):
            for _ in range(runs):
                model.run(profiled=True)
        assert [len(model.collect()) for model in models] == [0, 1, 2, 3]


def test_no_file_is_left(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.convolution_network(), tmp_path), scratch)
    model.run(profiled=True)
    model.collect()
    model.prepare(profiled=True)
    model.close()
    assert list(scratch.iterdir()) == []


def test_a_bodys_nodes_are_not_counted_beside_their_loop(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.loop_network(), tmp_path), scratch)
    model.run(profiled=True)
    run = model.run(profiled=True)
    _, profile = model.collect()
    assert [kernel.op_type for kernel in profile.kernels] == ["Sigmoid", "Loop", "Sigmoid"]
    assert sum(profile.latency_us) <= run.total_us


def test_newer_files_are_read_and_the_digest_is_that_of_the_file(tmp_path: Path, scratch: Path) -> None:
    path = networks.write(networks.convolution_network(ir_version=NEWEST_IR_VERSION), tmp_path)
    newer = onnx.load(path)
    newer.ir_version = NEWEST_IR_VERSION + 1
    path.write_bytes(newer.SerializeToString())
    (file,) = find_models(str(path))
    model = OnnxRuntimeRunner(scratch).load(file)
    assert model.run(profiled=False).total_us > 0
    assert model.identity.digest == file.identity.digest


def test_weights_beside_the_file_are_found(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "external" / "big.onnx"
    path.parent.mkdir()
    onnx.save(
        networks.convolution_network(),
        path,
        save_as_external_data=True,
        location="big.weights",
        size_threshold=0,
    )
    assert load(path, scratch).run(profiled=True).total_us > 0


def test_what_cannot_run_is_named(tmp_path: Path, scratch: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"broken: .*not a readable ONNX file"):
        load(broken, scratch)
    unknown = networks.convolution_network()
    unknown.graph.node[2].op_type = "Nonsense"
    with pytest.raises(ModelError, match=r"small: ONNX Runtime cannot load it"):
        load(networks.write(unknown, tmp_path), scratch)


def test_a_profile_of_other_runs_is_refused(tmp_path: Path, scratch: Path) -> None:
    model = load(networks.write(networks.convolution_network(), tmp_path), scratch)
    model.run(profiled=True)
    model._profiled_runs += 1
    with pytest.raises(ProfileError, match="1 runs where 2"):
        model.collect()


def test_a_zero_length_node_before_a_plain_one_stays() -> None:
    events = [
        {"cat": "Node", "name": f"{name}_kernel_time", "dur": 0, "ts": 5, "args": {"op_name": "Relu"}}
        for name in "ab"
    ]
    profile = [*events, {"cat": "Session", "name": "model_run", "dur": 9, "ts": 1, "args": {}}]
    assert [len(run) for run in split_runs(json.dumps(profile).encode())] == [2]


def test_the_light_models_are_all_there() -> None:
    names = {file.identity.name for file in find_models("light")}
    assert {"resnet50", "squeezenet", "vgg19", "shufflenet", "densenet121"} <= names
    assert len(names) == 9
