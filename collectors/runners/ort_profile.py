"""From ONNX Runtime's profile to the kernels of each run.

The profiler writes one JSON event a line when profiling ends: for every executed node a `Node` event whose
name ends in `_kernel_time`, and after the nodes of a run one `Session` event `model_run`. A session that
is used by one thread only writes the nodes of one run before the `model_run` that closes it, so the file
splits into runs without looking at clocks.
"""

from collections.abc import Sequence

import msgspec

from collectors.errors import ProfileError
from collectors.runners.optimized_graph import OptimizedGraph
from collectors.runners.runner import RunProfile
from predictors.graph import Operator, Shape

KERNEL_SUFFIX = "_kernel_time"
CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
DTYPES = {"float": "float32", "double": "float64"}
"""The profiler's C++ names where they differ from ONNX's."""


class Event(msgspec.Struct, gc=False):
    """One line of the profile: times in whole microseconds."""

    cat: str
    name: str
    dur: int = 0
    ts: int = 0
    args: msgspec.Raw = msgspec.Raw(b"{}")


class KernelArguments(msgspec.Struct):
    """The part of a node's arguments that describes the kernel; each shape is keyed by its data type."""

    op_name: str
    input_type_shape: list[dict[str, list[int]]] = []
    output_type_shape: list[dict[str, list[int]]] = []


_events = msgspec.json.Decoder(list[Event])
_arguments = msgspec.json.Decoder(KernelArguments)


def split_runs(profile: bytes) -> list[list[Event]]:
    """Split a profile into the node events of each run, in execution order.

    Nodes inside the body of a control-flow node are dropped: their time is part of that node's own.
    """
    runs: list[list[Event]] = []
    nodes: list[Event] = []
    for event in _events.decode(profile):
        if event.cat == "Node" and event.name.endswith(KERNEL_SUFFIX):
            if nodes and nodes[-1].ts >= event.ts and _arguments.decode(event.args).op_name in CONTROL_FLOW:
                while nodes and nodes[-1].ts >= event.ts:
                    nodes.pop()
            nodes.append(event)
        elif event.cat == "Session" and event.name == "model_run":
            runs.append(nodes)
            nodes = []
    return runs


class KernelReader:
    """Turns node events into kernels; a sequence of nodes is described once and remembered."""

    def __init__(self, graph: OptimizedGraph) -> None:
        self._graph = graph
        self._kernels: dict[tuple[str, ...], tuple[Operator, ...]] = {}

    def read(self, profile: bytes, expected_runs: int) -> list[RunProfile]:
        """Return the profile of each run, oldest first.

        Raises:
            ProfileError: the profile holds another number of runs than were made.

        """
        runs = split_runs(profile)
        if len(runs) != expected_runs:
            raise ProfileError(f"the profiler recorded {len(runs)} runs where {expected_runs} were made")
        return [RunProfile(self._describe(run), tuple(float(event.dur) for event in run)) for run in runs]

    def _describe(self, run: Sequence[Event]) -> tuple[Operator, ...]:
        names = tuple(event.name for event in run)
        if names not in self._kernels:
            self._kernels[names] = self._kernels_of(run)
        return self._kernels[names]

    def _kernels_of(self, run: Sequence[Event]) -> tuple[Operator, ...]:
        shapes: dict[str, Shape] = {}
        kernels = []
        for event in run:
            arguments = _arguments.decode(event.args)
            name = event.name.removesuffix(KERNEL_SUFFIX)
            inputs, outputs = _shapes(arguments.input_type_shape), _shapes(arguments.output_type_shape)
            node = self._graph.node(name, arguments.op_name)
            if node is not None:
                shapes |= zip(node.outputs, outputs, strict=False)
                inputs = _complete(node.inputs, inputs, {**self._graph.shapes, **shapes})
            kernels.append(
                Operator(
                    op_type=arguments.op_name,
                    inputs=inputs,
                    outputs=outputs,
                    dtype=_dtype(arguments.input_type_shape or arguments.output_type_shape),
                    attributes={} if node is None else node.attributes,
                )
            )
        return tuple(kernels)


def _complete(
    names: Sequence[str], reported: tuple[Shape, ...], known: dict[str, Shape]
) -> tuple[Shape, ...]:
    """Add the weights that the profiler leaves out because the kernel packed them away beforehand."""
    if len(names) == len(reported) or not all(name in known for name in names):
        return reported
    return tuple(known[name] for name in names)


def _shapes(reported: list[dict[str, list[int]]]) -> tuple[Shape, ...]:
    return tuple(tuple(shape) for entry in reported for shape in entry.values())


def _dtype(reported: list[dict[str, list[int]]]) -> str:
    name: str = next((kind for entry in reported for kind in entry), "float32")
    return DTYPES.get(name, name)
