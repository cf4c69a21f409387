"""A model's file and its reported kernels are predicted alike, on the project's own sample."""

import gzip
import hashlib
import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from predictors import fusion
from predictors.graph import Operator
from predictors.onnx_reader import read
from predictors.operator_model import OperatorModel, OperatorSample
from tests.onnx_models import light

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "two-core-x86.ndjson.gz"
NETWORKS = ("inception_v1", "resnet50", "shufflenet", "squeezenet")
FRAMEWORK = "onnxruntime"


@cache
def measured() -> tuple[dict[str, tuple[Operator, ...]], OperatorModel]:
    """Return each model's kernels as its runs reported them, by digest, and a model fitted to all timings."""
    kernels: dict[str, tuple[Operator, ...]] = {}
    latency_us: dict[Operator, list[float]] = defaultdict(list)
    with gzip.open(SAMPLE) as file:
        for batch in map(json.loads, file):
            known = [
                Operator(
                    item["op_type"],
                    tuple(map(tuple, item["inputs"])),
                    tuple(map(tuple, item["outputs"])),
                    item["dtype"],
                    item["attributes"],
                )
                for item in batch["operators"]
            ]
            for run in filter(lambda run: run["operators"], batch["runs"]):
                ran = tuple(known[index] for index in run["operators"])
                kernels[run["model"]["digest"]] = ran
                for kernel, value in zip(ran, run["latency_us"], strict=True):
                    latency_us[kernel].append(value)
    samples = [
        OperatorSample(item, float(np.mean(all_us)), len(all_us)) for item, all_us in latency_us.items()
    ]
    return kernels, OperatorModel.fit(samples)


def total_us(model: OperatorModel, operators: tuple[Operator, ...]) -> float:
    return float(np.exp(model.log_latency_us(operators)).sum())


@pytest.mark.parametrize("network", NETWORKS)
def test_the_file_is_predicted_as_its_reported_kernels_are(network: str) -> None:
    kernels, model = measured()
    data = light(network)
    reported = kernels["sha256:" + hashlib.sha256(data).hexdigest()]
    graph = read(data)
    by_rules = fusion.kernels(graph, FRAMEWORK)
    checked = fusion.fitted(graph, FRAMEWORK, reported)
    assert total_us(model, tuple(by_rules.operators)) == pytest.approx(total_us(model, reported), rel=0.05)
    assert total_us(model, tuple(checked.operators)) == pytest.approx(total_us(model, reported), rel=0.001)
