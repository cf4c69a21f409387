"""The engines that a device's processors need, made once each."""

from collections.abc import Sequence
from pathlib import Path

from collectors.device import OPENVINO, Processor
from collectors.runners.onnxruntime_runner import OnnxRuntimeRunner
from collectors.runners.openvino_runner import OpenVinoRunner
from collectors.runners.runner import Runner


def runners_for(processors: Sequence[Processor], scratch: Path) -> dict[str, Runner]:
    """Return a runner for each engine that some processor is under.

    Raises:
        NoOpenVinoError: a processor is under OpenVINO, which is not installed.

    """
    engines = dict.fromkeys(processor.engine for processor in processors)
    return {name: OpenVinoRunner() if name == OPENVINO else OnnxRuntimeRunner(scratch) for name in engines}
