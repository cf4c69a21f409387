"""ONNX Runtime's profile: what `SessionOptions.enable_profiling` leaves behind."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx

from collectors.importers.importer import ImportedRun, Importer, Origin, UnreadableFileError, batches_of
from collectors.runners.optimized_graph import OptimizedGraph
from collectors.runners.ort_profile import KernelReader, split_runs


class OnnxRuntimeProfile:
    """One JSON file of a session's events; its first run is left out, because it pays for set-up."""

    format = "onnxruntime"
    description = "a profile written by ONNX Runtime (`enable_profiling`), one model on one processor"

    def batches(self, path: Path, origin: Origin) -> Iterator[bytes]:
        """Yield the runs of the session."""
        return batches_of(_runs(path), path, origin, framework="onnxruntime")


def _runs(path: Path) -> list[ImportedRun]:
    profile = path.read_bytes()
    try:
        events = split_runs(profile)
    except msgspec.DecodeError as error:
        raise UnreadableFileError(f"{path} is no profile of ONNX Runtime: {error}.") from error
    described = KernelReader(OptimizedGraph(onnx.ModelProto())).read(profile, len(events))
    runs = []
    for nodes, kernels in zip(events[1:], described[1:], strict=True):
        if nodes:
            begin = nodes[0].ts
            end = nodes[-1].ts + nodes[-1].dur
            runs.append(ImportedRun(float(begin), float(end - begin), kernels.kernels, kernels.latency_us))
    if not runs:
        raise UnreadableFileError(f"{path} holds no run after the session's first one.")
    first = runs[0].offset_us
    return [ImportedRun(run.offset_us - first, run.total_us, run.kernels, run.latency_us) for run in runs]


IMPORTER: Importer = OnnxRuntimeProfile()
