"""Times models with ONNX Runtime on the CPU, one thread, on the core that the caller is pinned to."""

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from collectors.errors import ModelError
from collectors.models import ModelFile
from collectors.runners.optimized_graph import OptimizedGraph
from collectors.runners.ort_profile import KernelReader
from collectors.runners.runner import RunProfile, TimedRun

NEWEST_IR_VERSION: Final = 13
"""The newest file format that ONNX Runtime 1.31 reads; `onnx` writes newer ones."""
OPTIMIZATION: Final = "all"
"""The graph optimisation level; part of the framework's version, because it decides which kernels run."""
PROVIDERS: Final = ["CPUExecutionProvider"]
FATAL_ONLY: Final = 4
FREE_BATCH, FREE_IMAGE_SIDE, FREE_LENGTH = 1, 224, 16
"""Sizes given to dimensions that a model leaves open: the batch, an image's sides, anything else."""


class OnnxRuntimeRunner:
    """The ONNX Runtime engine; `scratch` is an existing folder for files that live a moment."""

    framework = f"onnxruntime {ort.__version__}+{OPTIMIZATION}"

    def __init__(self, scratch: Path, seed: int = 0) -> None:
        self._scratch = scratch
        self._seed = seed

    def load(self, model: ModelFile) -> "OnnxRuntimeModel":
        """Load a model file.

        Raises:
            ModelError: ONNX Runtime cannot read it or does not support it.

        """
        return OnnxRuntimeModel(model, self._scratch, self._seed)


class OnnxRuntimeModel:
    """A model with an unprofiled and a profiled session; the latter lasts until `collect`.

    ONNX Runtime hands its profile over only when a session's profiling ends for good, hence a new session
    for the runs after each `collect`.
    """

    def __init__(self, model: ModelFile, scratch: Path, seed: int) -> None:
        self.identity = model.identity
        self.framework = OnnxRuntimeRunner.framework
        self._scratch = scratch
        self._source = _readable(model)
        self._reader: KernelReader | None = None
        self._profiled: ort.InferenceSession | None = None
        self._profiled_runs = 0
        self._plain = self._session(_options())
        self._plain_runs = 0
        try:
            self._feed = _random_inputs(self._plain, np.random.default_rng(seed))
        except ValueError as error:
            raise ModelError(self.identity.name, f"{error}; leave this model out") from error
        self._outputs = [output.name for output in self._plain.get_outputs()]

    def prepare(self, *, profiled: bool) -> None:
        """Make the profiled session where there is none; the other one is made when the model is loaded."""
        if not profiled or self._profiled is not None:
            return
        options = _options()
        options.enable_profiling = True
        # ONNX Runtime appends a time in milliseconds, within which several sessions can be made.
        options.profile_file_prefix = str(self._scratch / f"profile-{uuid.uuid4()}")
        if self._reader is None:
            self._profiled, self._reader = self._session_with_graph(options)
        else:
            self._profiled = self._session(options)
        self._profiled_runs = 0

    def run(self, *, profiled: bool) -> TimedRun:
        """Run once.

        Raises:
            ModelError: the run failed.

        """
        if profiled:
            self.prepare(profiled=True)
            session, earlier = self._profiled, self._profiled_runs
            self._profiled_runs += 1
        else:
            session, earlier = self._plain, self._plain_runs
            self._plain_runs += 1
        assert session is not None
        try:
            start_ns = time.perf_counter_ns()
            session.run(self._outputs, self._feed)
            end_ns = time.perf_counter_ns()
        except Exception as error:
            raise ModelError(self.identity.name, f"ONNX Runtime failed to run it: {error}") from error
        return TimedRun(total_us=(end_ns - start_ns) / 1000, first=earlier == 0)

    def collect(self) -> list[RunProfile]:
        """End profiling and return what it recorded, oldest run first.

        Raises:
            ProfileError: the profile does not hold exactly the runs that were made.

        """
        if self._profiled is None or self._reader is None:
            return []
        file = Path(self._profiled.end_profiling())
        self._profiled = None
        profile = file.read_bytes()
        file.unlink()
        return self._reader.read(profile, self._profiled_runs) if self._profiled_runs else []

    def close(self) -> None:
        """Free both sessions and remove the profile of the open one."""
        if self._profiled is not None:
            Path(self._profiled.end_profiling()).unlink(missing_ok=True)
            self._profiled = None

    def _session(self, options: ort.SessionOptions) -> ort.InferenceSession:
        try:
            return ort.InferenceSession(self._source, options, providers=PROVIDERS)
        except Exception as error:
            raise ModelError(self.identity.name, f"ONNX Runtime cannot load it: {error}") from error

    def _session_with_graph(self, options: ort.SessionOptions) -> tuple[ort.InferenceSession, KernelReader]:
        """Make a session that also saves its optimised graph, of which the weights go nowhere."""
        saved = self._scratch / "optimized.onnx"
        nowhere = self._scratch / "weights"
        nowhere.symlink_to(os.devnull)
        options.optimized_model_filepath = str(saved)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", nowhere.name
        )
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", "64"
        )
        try:
            session = self._session(options)
            return session, KernelReader(OptimizedGraph.load(saved))
        finally:
            saved.unlink(missing_ok=True)
            nowhere.unlink(missing_ok=True)


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = FATAL_ONLY
    return options


def _readable(file: ModelFile) -> bytes | str:
    """Return what ONNX Runtime can load and profile: a readable format version, and a name for every node.

    The profiler knows nodes by name only. A file that needs no change is handed over as its path, so that
    weights beside it are found.
    """
    try:
        model = onnx.load(file.path, load_external_data=False)
    except Exception as error:
        raise ModelError(file.identity.name, f"{file.path} is not a readable ONNX file: {error}") from error
    names = [node.name for node in model.graph.node]
    if model.ir_version <= NEWEST_IR_VERSION and len(set(names)) == len(names) and "" not in names:
        return str(file.path)
    model.ir_version = min(model.ir_version, NEWEST_IR_VERSION)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    if any(tensor.external_data for tensor in model.graph.initializer):
        onnx.load_external_data_for_model(model, str(file.path.parent))
    data: bytes = model.SerializeToString()
    return data


def _random_inputs(session: ort.InferenceSession, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
    return {value.name: _random_tensor(value, rng) for value in session.get_inputs()}


def _random_tensor(value: ort.NodeArg, rng: np.random.Generator) -> NDArray[Any]:
    """Draw an input: real numbers from 0 to 1, ones for integers and booleans (a mask, a valid index)."""
    dimensions = value.shape
    shape = [
        size if isinstance(size, int) and size > 0 else _free_size(axis, len(dimensions))
        for axis, size in enumerate(dimensions)
    ]
    if value.type in ("tensor(float)", "tensor(double)", "tensor(float16)"):
        width = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
        return rng.random(shape).astype(width[value.type])
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if kind not in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"):
        raise ValueError(f"input {value.name!r} is a {value.type}, which cannot be made up")
    return np.ones(shape, dtype=kind)


def _free_size(axis: int, rank: int) -> int:
    if axis == 0:
        return FREE_BATCH
    return FREE_IMAGE_SIDE if rank == 4 and axis >= 2 else FREE_LENGTH
