"""What runs a stage on a core: ONNX Runtime, or OpenVINO for processors called `ov:N`; one thread each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import onnxruntime as ort

from collectors.device import ENGINES, OPENVINO
from collectors.errors import PlanError
from collectors.executor.execution import Array
from collectors.openvino import SINGLE_THREAD, openvino
from collectors.pinning import pinned


class StageSession(Protocol):
    """A model ready to run on arrays that it is bound to."""

    def run(self) -> None:
        """Read the inputs' arrays and fill the outputs'."""


Engine = Callable[[bytes, Mapping[str, Array], Sequence[Array]], StageSession]


class OnnxRuntimeStage:
    """A session with all inputs (by name) and outputs (in their order) bound to arrays."""

    def __init__(self, model: bytes, inputs: Mapping[str, Array], outputs: Sequence[Array]) -> None:
        self._session = onnxruntime_session(model)
        self._binding = self._session.io_binding()
        self._held: list[ort.OrtValue] = []
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, self._hold(array))
        for value, array in zip(self._session.get_outputs(), outputs, strict=True):
            self._binding.bind_ortvalue_output(value.name, self._hold(array))

    def run(self) -> None:
        """Run the session on the bound arrays."""
        self._session.run_with_iobinding(self._binding)

    def _hold(self, array: Array) -> ort.OrtValue:
        value = ort.OrtValue.ortvalue_from_numpy(array)
        self._held.append(value)
        return value


class OpenVinoStage:
    """A compiled model whose tensors share the arrays' memory."""

    def __init__(self, model: bytes, inputs: Mapping[str, Array], outputs: Sequence[Array]) -> None:
        ov = openvino()
        core = ov.Core()
        compiled = core.compile_model(core.read_model(model, b""), "CPU", SINGLE_THREAD)
        self._request: Any = compiled.create_infer_request()
        for name, array in inputs.items():
            self._request.set_tensor(name, ov.Tensor(array, shared_memory=True))
        for port, array in zip(compiled.outputs, outputs, strict=True):
            self._request.set_tensor(port, ov.Tensor(array, shared_memory=True))

    def run(self) -> None:
        """Infer on the bound arrays."""
        self._request.infer()


def onnxruntime_session(model: bytes) -> ort.InferenceSession:
    """Return a session of one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def engine_of(processor: str) -> Engine:
    """Return the engine that a processor's name stands for."""
    return OpenVinoStage if ENGINES.get(processor.partition(":")[0]) == OPENVINO else OnnxRuntimeStage


def build(
    processor: str, core: int, model: bytes, inputs: Mapping[str, Array], outputs: Sequence[Array]
) -> StageSession:
    """Make a stage's session on its core, where whatever threads the engine makes will stay.

    Raises:
        PlanError: the engine is not installed, or cannot run the model.

    """
    engine = engine_of(processor)
    try:
        with pinned(core):
            return engine(model, inputs, outputs)
    except OSError:  # the core is not there: whoever runs the stage will say so
        return engine(model, inputs, outputs)
    except Exception as error:
        raise PlanError(f"{processor} cannot run it: {error}") from error
