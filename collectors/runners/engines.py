"""The engines that a device's processors need, made once each."""

from collections.abc import Sequence
from pathlib import Path

from collectors.device import OPENVINO, Processor
from collectors.runners.onnxruntime_runner import OnnxRuntimeRunner
from collectors.runners.runner import Runner


def runners_for(processors: Sequence[Processor], scratch: Path) -> dict[str, Runner]:
    """Return a runner for each engine that some processor is under.

    Raises:
        NoOpenVinoError: a processor is under OpenVINO, which is not installed.

    """
    return {name: _runner(name, scratch) for name in dict.fromkeys(item.engine for item in processors)}


def _runner(engine: str, scratch: Path) -> Runner:
    if engine != OPENVINO:
        return OnnxRuntimeRunner(scratch)
    # Reading a model's own graph, which only this runner does, would cost every agent 10 MB.
    from collectors.runners.openvino_runner import OpenVinoRunner

    return OpenVinoRunner()
