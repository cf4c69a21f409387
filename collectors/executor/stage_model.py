"""The sub-model of one stage: its nodes, the constants they read, and where it meets other stages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from collectors.errors import PlanError
from collectors.executor.ranges import Part, Requirement, SplitNode, required, share, widened
from collectors.executor.source import IR_VERSION, SourceModel


@dataclass(frozen=True, slots=True)
class Split:
    """The shares `low` to `high` (0 to 1) of its outputs that a stage computes."""

    dimension: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class StageModel:
    """A stage's own model. `inputs` and `outputs` name tensors of the whole model and the part of each."""

    model: onnx.ModelProto
    inputs: Mapping[str, Part | None]
    outputs: Mapping[str, Part | None]


class _Builder:
    """Works backwards from a stage's outputs to the parts that it needs, then writes its nodes."""

    def __init__(self, source: SourceModel, names: Iterable[str], split: Split | None) -> None:
        wanted = set(names)
        self._source = source
        self._names = [name for name in source.nodes if name in wanted]
        self._split = split
        self._needs: dict[str, Part | None] = {}
        self._requirements: dict[str, Requirement] = {}
        self._written = {tensor for name in self._names for tensor in source.nodes[name].output if tensor}

    def build(self, outputs: Sequence[str]) -> StageModel:
        made = {tensor: self._share(tensor) for tensor in outputs}
        made = {tensor: part for tensor, part in made.items() if part is None or part.length > 0}
        for tensor, part in made.items():
            self._need(tensor, part)
        for name in reversed(self._names):
            self._require(name)
        return self._assemble(made)

    def _share(self, tensor: str) -> Part | None:
        if self._split is None:
            return None
        split = self._split
        return share(split.dimension, self._source.shape(tensor), split.low, split.high)

    def _need(self, tensor: str, part: Part | None) -> None:
        """Widen what is needed of a tensor so that it covers `part`."""
        if part is not None and part.length == self._source.shape(tensor)[part.axis]:
            part = None
        if tensor not in self._needs:
            self._needs[tensor] = part
            return
        known = self._needs[tensor]
        if known is None or part is None or known.axis != part.axis:
            self._needs[tensor] = None
        else:
            self._needs[tensor] = Part(known.axis, min(known.start, part.start), max(known.stop, part.stop))

    def _require(self, name: str) -> None:
        proto = self._source.nodes[name]
        outputs = [tensor for tensor in proto.output if tensor in self._needs]
        if not outputs:
            return
        part = self._needs[outputs[0]]
        if self._split is None or part is None or any(self._needs[tensor] is None for tensor in outputs):
            for tensor in outputs:
                self._needs[tensor] = None
            requirement = Requirement((None,) * len(proto.input))
        elif len(outputs) > 1:
            raise PlanError(f"operator {name!r} ({proto.op_type}) has several outputs and cannot be split")
        else:
            shapes = tuple(self._source.shape(tensor) for tensor in proto.input)
            node = SplitNode(proto, shapes, self._source.shape(outputs[0]), self._split.dimension)
            part = widened(node, part)
            self._needs[outputs[0]] = part
            requirement = required(node, part)
        self._requirements[name] = requirement
        for tensor, need in zip(proto.input, requirement.inputs, strict=True):
            if tensor and tensor not in self._source.constants:
                self._need(tensor, need)
        for tensor in self._source.captured[name]:
            if tensor not in self._source.constants:
                self._need(tensor, None)

    def _assemble(self, made: Mapping[str, Part | None]) -> StageModel:
        nodes: list[onnx.NodeProto] = []
        constants: dict[str, onnx.TensorProto] = {}
        for name in self._names:
            if name in self._requirements:
                nodes += self._node(name, self._requirements[name], constants)
        results = []
        for tensor, part in made.items():
            result = self._cut(tensor, part, nodes, constants, f"{tensor}/out")
            results.append(self._value(result, tensor, self._actual(tensor, part)))
        inputs = {tensor: part for tensor, part in self._needs.items() if tensor not in self._written}
        graph = helper.make_graph(
            nodes,
            "stage",
            [self._value(tensor, tensor, part) for tensor, part in inputs.items()],
            results,
            list(constants.values()),
        )
        model = helper.make_model(graph, opset_imports=self._source.opsets, ir_version=IR_VERSION)
        return StageModel(
            model, inputs, {tensor: self._actual(tensor, part) for tensor, part in made.items()}
        )

    def _actual(self, tensor: str, part: Part | None) -> Part | None:
        """Return none for a part that is all of the tensor."""
        return None if part is None or part.length == self._source.shape(tensor)[part.axis] else part

    def _node(
        self, name: str, requirement: Requirement, constants: dict[str, onnx.TensorProto]
    ) -> list[onnx.NodeProto]:
        proto = onnx.NodeProto()
        proto.CopyFrom(self._source.nodes[name])
        added: list[onnx.NodeProto] = []
        for place, (tensor, part) in enumerate(zip(list(proto.input), requirement.inputs, strict=True)):
            if not tensor:
                continue
            if tensor in self._source.constants:
                proto.input[place] = self._constant(tensor, part, constants)
            else:
                proto.input[place] = self._cut(tensor, part, added, constants, f"{tensor}/{name}/{place}")
        for tensor in self._source.captured[name]:
            if tensor in self._source.constants:
                self._constant(tensor, None, constants)
        for attribute, value in requirement.attributes.items():
            _set_attribute(proto, attribute, value)
        return [*added, proto]

    def _constant(self, tensor: str, part: Part | None, constants: dict[str, onnx.TensorProto]) -> str:
        name = tensor if part is None else f"{tensor}/{part.start}:{part.stop}"
        if name not in constants:
            value = self._source.constants[tensor]
            if part is not None:
                value = np.ascontiguousarray(value.take(range(part.start, part.stop), axis=part.axis))
            constants[name] = numpy_helper.from_array(value, name)
        return name

    def _cut(
        self,
        tensor: str,
        part: Part | None,
        nodes: list[onnx.NodeProto],
        constants: dict[str, onnx.TensorProto],
        name: str,
    ) -> str:
        """Return the name of a part of a tensor of which the stage holds the same part or a wider one."""
        held = self._needs[tensor]
        if self._actual(tensor, part) == held:
            return tensor
        assert part is not None
        offset = 0 if held is None else held.start
        bounds = {"starts": part.start - offset, "ends": part.stop - offset, "axes": part.axis}
        nodes.append(self._slice(tensor, bounds, constants, name))
        return name

    def _slice(
        self, tensor: str, bounds: Mapping[str, int], constants: dict[str, onnx.TensorProto], name: str
    ) -> onnx.NodeProto:
        """Return a Slice node: its bounds were attributes before they became inputs in opset 10."""
        if self._source.opset < 10:
            node = helper.make_node("Slice", [tensor], [name], name=f"{name}/slice")
            node.attribute.extend(helper.make_attribute(label, [value]) for label, value in bounds.items())
            return node
        places = [f"{name}/{label}" for label in bounds]
        for place, value in zip(places, bounds.values(), strict=True):
            constants[place] = numpy_helper.from_array(np.array([value], dtype=np.int64), place)
        return helper.make_node("Slice", [tensor, *places], [name], name=f"{name}/slice")

    def _value(self, name: str, tensor: str, part: Part | None) -> onnx.ValueInfoProto:
        shape = self._source.shape(tensor)
        kind = helper.np_dtype_to_tensor_dtype(self._source.dtype(tensor))
        return helper.make_tensor_value_info(name, kind, shape if part is None else part.of(shape))


def cut_stage(
    source: SourceModel, names: Iterable[str], outputs: Sequence[str], split: Split | None
) -> StageModel:
    """Return the model of a stage that runs the named nodes and gives the named tensors.

    Raises:
        PlanError: an operator cannot be split as the plan says.

    """
    return _Builder(source, names, split).build(outputs)


def _set_attribute(proto: onnx.NodeProto, name: str, value: int | list[int]) -> None:
    replaced = {name, "auto_pad"} if name == "pads" else {name}
    kept = [attribute for attribute in proto.attribute if attribute.name not in replaced]
    del proto.attribute[:]
    proto.attribute.extend([*kept, helper.make_attribute(name, value)])
