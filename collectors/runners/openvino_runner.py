"""Times models with OpenVINO on the CPU, one thread, on the core that the caller is pinned to."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from collectors.errors import ModelError
from collectors.models import ModelFile
from collectors.openvino import SINGLE_THREAD, openvino
from collectors.runners.runner import RunProfile, TimedRun
from predictors.graph import ModelGraph, Operator
from predictors.graph_errors import GraphError
from predictors.onnx_reader import read

ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Clip"})
"""What OpenVINO folds into the operator before it."""

COUNTED_RUNS = 8
FOLDED = {"Convolution": ("Conv",), "FullyConnected": ("Gemm", "MatMul")}
"""Operators that lose their name when a batch normalisation is folded into their weights."""

BARE = "/WithoutBiases"
"""What OpenVINO adds to the name of an operator from which it took the bias."""


@cache
def framework() -> str:
    """Return the engine's name and version, as runs state it."""
    return f"openvino {openvino().__version__.partition('-')[0]}"


class OpenVinoRunner:
    """The OpenVINO engine.

    Raises:
        NoOpenVinoError: the package is not installed.

    """

    def __init__(self, seed: int = 0) -> None:
        self.framework = framework()
        self._seed = seed

    def load(self, model: ModelFile) -> "OpenVinoModel":
        """Load a model file.

        Raises:
            ModelError: OpenVINO cannot read it or does not support it.

        """
        return OpenVinoModel(model, self._seed)


class OpenVinoModel:
    """A model compiled twice: without and with OpenVINO's profiling, which costs time.

    OpenVINO tells the mean of all profiled runs in whole microseconds, so that one run is the difference of
    two sums, whose error grows with their number: the profiled model is compiled anew every `COUNTED_RUNS`.
    """

    def __init__(self, file: ModelFile, seed: int) -> None:
        self.identity = file.identity
        self.framework = framework()
        self._core = openvino().Core()
        try:
            self._graph = read(file.path.read_bytes())
            self._model = self._core.read_model(str(file.path))
            self._requests = {False: self._request(profiled=False)}
            self._feed = self._inputs(np.random.default_rng(seed))
        except (RuntimeError, GraphError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(file.identity.name, f"OpenVINO cannot load it: {reason}") from error
        self._runs = {False: 0, True: 0}
        self._profiles: list[RunProfile] = []
        self._kernels: dict[tuple[str, ...], tuple[Operator, ...]] = {}
        self._sums_us: dict[str, float] = {}

    def prepare(self, *, profiled: bool) -> None:
        """Compile the profiled model where that has not been done."""
        if profiled not in self._requests:
            self._requests[profiled] = self._request(profiled=profiled)

    def run(self, *, profiled: bool) -> TimedRun:
        """Run once.

        Raises:
            ModelError: the run failed.

        """
        if profiled and self._runs[True] == COUNTED_RUNS:
            self._requests.pop(True)
            self._runs[True] = 0
            self._sums_us = {}
        self.prepare(profiled=profiled)
        request = self._requests[profiled]
        try:
            start_ns = time.perf_counter_ns()
            request.infer(self._feed)
            end_ns = time.perf_counter_ns()
        except RuntimeError as error:
            raise ModelError(self.identity.name, f"OpenVINO failed to run it: {error}") from error
        self._runs[profiled] += 1
        if profiled:
            self._profiles.append(self._profile(request))
        return TimedRun(total_us=(end_ns - start_ns) / 1000, first=self._runs[profiled] == 1)

    def collect(self) -> list[RunProfile]:
        """Return the profiles of all profiled runs since the last call, oldest first."""
        profiles, self._profiles = self._profiles, []
        return profiles

    def close(self) -> None:
        """Free both compiled models."""
        self._requests.clear()

    def _request(self, *, profiled: bool) -> Any:  # noqa: ANN401
        options = {**SINGLE_THREAD, "PERF_COUNT": profiled}
        return self._core.compile_model(self._model, "CPU", options).create_infer_request()

    def _inputs(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """Draw inputs: real numbers from 0 to 1, ones for integers and booleans."""
        feed = {}
        for name in self._graph.inputs:
            tensor = self._graph.tensors[name]
            kind = np.dtype(tensor.dtype)
            real = np.issubdtype(kind, np.floating)
            feed[name] = rng.random(tensor.shape).astype(kind) if real else np.ones(tensor.shape, kind)
        return feed

    def _profile(self, request: Any) -> RunProfile:  # noqa: ANN401
        executed = [item for item in request.profiling_info if item.status.name == "EXECUTED"]
        names = tuple(item.node_name for item in executed)
        if names not in self._kernels:
            described = _described(request.get_compiled_model().get_runtime_model(), self._graph)
            self._kernels[names] = tuple(
                described.get(item.node_name) or Operator(item.node_type, (), ()) for item in executed
            )
        sums_us = {
            item.node_name: self._runs[True] * item.real_time.total_seconds() * 1e6 for item in executed
        }
        latency_us = tuple(
            float(max(0, round(sums_us[name] - self._sums_us.get(name, 0.0)))) for name in names
        )
        self._sums_us = sums_us
        return RunProfile(self._kernels[names], latency_us)


def _described(runtime: Any, graph: ModelGraph) -> dict[str, Operator]:  # noqa: ANN401
    """Return what each executed node computes, in the model file's own terms where it stems from there."""
    nodes: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        nodes |= dict.fromkeys((node.name, *filter(None, node.outputs)), place)
    described = {}
    for item in runtime.get_ordered_ops():
        facts = item.rt_info
        origins = {name.strip().removesuffix(BARE) for name in _text(facts, "originalLayersNames").split(",")}
        members = sorted({nodes[name] for name in origins & nodes.keys()})
        members = [*_folded(graph, members, nodes, _text(facts, "layerType")), *members]
        if members:
            described[item.friendly_name] = _fused([graph.nodes[place].operator for place in members])
        else:
            shape = tuple(item.get_output_shape(0)) if item.output(0).partial_shape.is_static else ()
            described[item.friendly_name] = Operator(_text(facts, "layerType"), (), (shape,) if shape else ())
    return described


def _folded(graph: ModelGraph, members: list[int], nodes: dict[str, int], kind: str) -> list[int]:
    """Return the operator into whose weights a batch normalisation was folded; nothing where none was."""
    if not members or graph.nodes[members[0]].operator.op_type != "BatchNormalization":
        return []
    writer = nodes.get(graph.nodes[members[0]].inputs[0])
    if writer is None or graph.nodes[writer].operator.op_type not in FOLDED.get(kind, ()):
        return []
    return [writer]


def _text(facts: Any, name: str) -> str:  # noqa: ANN401
    return str(facts[name].astype(str))


def _fused(members: list[Operator]) -> Operator:
    """Describe operators that run as one: the first of them, with the last one's activation."""
    first, last = members[0], members[-1]
    if len(members) == 1 or last.op_type not in ACTIVATIONS:
        return first
    kind = first.op_type if first.op_type.startswith("Fused") else f"Fused{first.op_type}"
    return replace(first, op_type=kind, attributes={**first.attributes, "activation": last.op_type})
