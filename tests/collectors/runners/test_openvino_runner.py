"""OpenVINO times real networks, alone and as a processor of an agent's session."""

import gzip
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collectors.agent import AgentOptions, Counts, record_trace
from collectors.device import find_processors
from collectors.errors import CollectorError, ModelError
from collectors.models import find_models
from collectors.openvino import NoOpenVinoError
from collectors.runners.engines import runners_for
from collectors.runners.openvino_runner import COUNTED_RUNS, OpenVinoRunner
from tests import networks
from tests.sessions import until

CORE = min(os.sched_getaffinity(0))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = networks.convolution_network()
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    path = tmp_path / "small.onnx"
    path.write_bytes(network.SerializeToString())
    return path


def test_profiles_name_the_models_own_operators(model: Path) -> None:
    loaded = OpenVinoRunner().load(find_models(str(model))[0])
    assert [loaded.run(profiled=False).first for _ in range(2)] == [True, False]
    timed = [loaded.run(profiled=True) for _ in range(COUNTED_RUNS + 3)]
    profiles = loaded.collect()
    assert len(profiles) == len(timed)
    assert loaded.collect() == []
    loaded.close()
    for run, profile in zip(timed, profiles, strict=True):
        assert len(profile.kernels) == len(profile.latency_us)
        assert 0 < sum(profile.latency_us) <= run.total_us + COUNTED_RUNS * len(profile.latency_us)
    found = {kernel.op_type: kernel for kernel in profiles[0].kernels}
    assert found["FusedConv"].attributes["activation"] == "Relu"
    convolutions = [kernel for kernel in profiles[0].kernels if "Conv" in kernel.op_type]
    assert (1, 3, 32, 32) in {kernel.inputs[0] for kernel in convolutions}


def test_a_file_that_is_no_model_is_left_out_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="OpenVINO cannot load it"):
        OpenVinoRunner().load(find_models(str(path))[0])


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from collectors.runners import openvino_runner

    openvino_runner.framework.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(NoOpenVinoError, match=r"install socast\[openvino\]"):
        runners_for(find_processors([f"ov:{CORE}"], [CORE]), tmp_path)


def test_a_processor_that_is_not_here_is_named() -> None:
    with pytest.raises(CollectorError, match="no processor 'ov:99' here"):
        find_processors(["ov:99"], [CORE])


def test_an_agent_times_both_engines_as_processors_of_their_own(model: Path, tmp_path: Path) -> None:
    names = (f"cpu:{CORE}", f"ov:{CORE}")
    options = AgentOptions(
        server=None,
        spool=tmp_path / "spool.sqlite",
        models=str(model),
        conditions=("s0",),
        processors=names,
        seed=0,
    )

    def record(options: AgentOptions, *watched: Any) -> Counts:
        return record_trace(options, tmp_path / "trace.gz", *watched)

    until(lambda _: True, options, run=record)
    batches: list[Mapping[str, Any]] = [
        json.loads(line) for line in gzip.decompress((tmp_path / "trace.gz").read_bytes()).splitlines()
    ]
    processors = {item["name"]: item for item in batches[0]["device"]["processors"]}
    assert {name: item["kind"] for name, item in processors.items()} == dict(
        zip(names, ("cpu", "openvino"), strict=True)
    )
    assert processors[names[0]]["resources"] == processors[names[1]]["resources"]
    frameworks = {run["processor"]: run["framework"].split()[0] for batch in batches for run in batch["runs"]}
    assert frameworks == dict(zip(names, ("onnxruntime", "openvino"), strict=True))
