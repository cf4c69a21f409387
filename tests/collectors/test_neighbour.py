import os
import threading
from pathlib import Path

import pytest

from collectors.measurement import Measurement, ModelIdentity
from collectors.models import find_models
from collectors.neighbour import Neighbour, bytes_per_us
from collectors.runners.onnxruntime_runner import OnnxRuntimeRunner
from predictors.graph import Operator
from tests import networks
from tests.processes import wait_until

CORE = sorted(os.sched_getaffinity(0))[-1]


def test_it_works_while_the_context_lasts(tmp_path: Path) -> None:
    (file,) = find_models(str(networks.write(networks.convolution_network(), tmp_path)))
    model = OnnxRuntimeRunner(tmp_path).load(file)
    neighbour = Neighbour(model, CORE, 12.5)
    threads = threading.active_count()
    with neighbour:
        first = model._plain_runs
        wait_until(lambda: model._plain_runs > first + 3, "the neighbour runs")
    assert threading.active_count() == threads
    assert neighbour.context == {"neighbour_bytes_per_us": 12.5}
    assert "small at work" in neighbour.description


def test_without_a_model_nothing_happens() -> None:
    neighbour = Neighbour()
    with neighbour:
        assert neighbour.context == {}
    assert neighbour.description == ""


def test_traffic_is_the_bytes_of_all_tensors_over_time() -> None:
    gemm = Operator("Gemm", ((1, 10), (20, 10), (20,)), ((1, 20),))
    run = Measurement(0, "cpu:0", "x", ModelIdentity("m", "d"), {}, 8.0, True, (gemm,), (7.0,))
    assert bytes_per_us(run) == pytest.approx(4 * (10 + 200 + 20 + 20) / 8.0)
