"""Executed plans on this host: hand-overs, what a plan costs beyond its stages, speed-up by two cores."""

import os
import statistics
from typing import Any

import numpy as np

from collectors.executor.plan_executor import PlanExecutor
from predictors import fusion
from predictors.fusion import KernelGraph
from predictors.onnx_reader import read
from tests.bench.row import Row, at_least, at_most
from tests.onnx_models import light

ROUNDS = 16
CUTS = (0.25, 0.5, 0.75)
NETWORKS = ("resnet50", "inception_v1")
HAND_OVER_NETWORK = "squeezenet"


def run() -> list[Row]:
    """Execute plans for real, those that are compared in turns."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return []
    processors = {"cpu:0": cores[0], "cpu:1": cores[-1]}
    return [*_hand_overs(processors), *(_speedup(name, processors) for name in NETWORKS)]


def _hand_overs(processors: dict[str, int]) -> list[Row]:
    """A network that changes its processor after every few kernels."""
    kernels = fusion.kernels(read(light(HAND_OVER_NETWORK)))
    groups = [kernels.covers[place : place + 4] for place in range(0, len(kernels.covers), 4)]
    stages = [
        _stage(number, [name for covers in group for name in covers], f"cpu:{number % 2}")
        for number, group in enumerate(groups)
    ]
    latencies, beyond = [], []
    with PlanExecutor(light(HAND_OVER_NETWORK), {"stages": stages}, processors) as executor:
        inputs = _inputs(executor)
        for _ in range(ROUNDS):
            execution = executor.run(inputs)
            latencies += [hand.latency_us for hand in execution.hand_overs]
            busy_us = sum(stage.end_us - stage.start_us for stage in execution.stages)
            beyond.append((execution.latency_us - busy_us) / max(len(execution.hand_overs), 1))
    return [
        at_most("hand-over to another processor, p50", statistics.median(latencies), "µs", 100.0),
        at_most("a plan over the sum of its stages, a hand-over", statistics.median(beyond), "µs", 100.0),
    ]


def _speedup(name: str, processors: dict[str, int]) -> Row:
    """The best two-processor plan of a few against the whole network on one; halves pick and score."""
    data = light(name)
    kernels = fusion.kernels(read(data))
    plans = [[_stage(0, [item for covers in kernels.covers for item in covers], "cpu:0")]]
    plans += [_chains(kernels, depth) for depth in (1, 2, 4, 8)]
    executors = [PlanExecutor(data, {"stages": plan}, processors) for plan in plans]
    try:
        inputs = _inputs(executors[0])
        table = np.array([[executor.run(inputs).latency_us for executor in executors] for _ in range(ROUNDS)])
    finally:
        for executor in executors:
            executor.close()
    best = 1 + int(np.argmin(np.median(table[1 : ROUNDS // 2, 1:], axis=0)))
    scored = np.median(table[ROUNDS // 2 :], axis=0)
    return at_least(f"{name}: best plan on two processors", float(scored[0] / scored[best]), "×", 1.6)


def _chains(kernels: KernelGraph, depth: int) -> list[dict[str, Any]]:
    """Halves by height of chains of `depth` convolutional kernels, the rest whole on the first core."""
    stages: list[dict[str, Any]] = []
    chain: list[str] = []
    length = 0

    def close() -> None:
        nonlocal chain, length
        for processor, (low, high) in (("cpu:0", (0.0, 0.5)), ("cpu:1", (0.5, 1.0))):
            if chain:
                split = {"dimension": "height", "range": [low, high]}
                stages.append(_stage(len(stages), chain, processor, split))
        chain, length = [], 0

    for node, covers in zip(kernels.graph.nodes, kernels.covers, strict=True):
        if node.operator.op_type in SPLITTABLE and node.operator.outputs[0][2] >= 14:
            chain += covers
            length += node.operator.op_type.endswith("Conv")
            if length >= depth:
                close()
        else:
            close()
            stages.append(_stage(len(stages), list(covers), "cpu:0"))
    close()
    return stages


SPLITTABLE = frozenset({"Conv", "FusedConv", "MaxPool", "Relu", "Add", "Concat", "Sum", "LRN"})


def _stage(number: int, names: list[str], processor: str, split: Any = None) -> dict[str, Any]:
    return {
        "id": number,
        "model": 0,
        "operators": names,
        "processor": processor,
        "split": split,
        "start_us": float(number),
    }


def _inputs(executor: PlanExecutor) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.random(shape).astype(dtype) for name, (shape, dtype) in executor.inputs[0].items()}
