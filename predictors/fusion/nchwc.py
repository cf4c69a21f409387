"""ONNX Runtime's blocked-channel layout pass: convolutions and pools run on channels in blocks.

The rules are those of ONNX Runtime's `NchwcTransformer` as observed from its profiles: tensors in the
blocked layout have their channels padded to whole blocks, `ReorderInput` and `ReorderOutput` kernels stand
where a tensor enters or leaves it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from predictors.fusion.rewriting import Op, Rewriting
from predictors.graph import Shape

_CONVOLUTIONS = frozenset({"Conv", "FusedConv"})
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"})
_ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Tanh"})
_CHANNEL_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A tensor in the blocked layout: its new name, its true channels, who writes it, who read it once."""

    name: str
    channels: int
    writer: Op | None
    uses: int


class BlockedLayout:
    """One application of the pass to a graph, for blocks of `block` channels."""

    def __init__(self, graph: Rewriting, block: int) -> None:
        self._graph = graph
        self._block = block
        self._blocked: dict[str, _Blocked] = {}
        self._plain: set[str] = set()
        self._summed: set[Op] = set()
        self._rules: dict[str, Callable[[Op], bool]] = {
            **dict.fromkeys(_CONVOLUTIONS, self._convolution),
            **dict.fromkeys(_POOLS, self._pool),
            **dict.fromkeys(("Add", "Sum", "Mul"), self._combine),
            **dict.fromkeys(_ACTIVATIONS, self._activation),
            "Concat": self._concatenation,
            "BatchNormalization": self._normalization,
        }

    def apply(self) -> None:
        """Rewrite the graph in place."""
        graph = self._graph
        for op in graph:
            if not self._transform(op):
                self._leave(op)
        for name in sorted(graph.outputs):
            if name in self._blocked:
                self._reorder_output(name, rank=float("inf"))

    def _transform(self, op: Op) -> bool:
        """Rewrite one operator; tell whether it now deals with blocked tensors itself (or never sees any)."""
        rule = self._rules.get(op.op_type)
        if op.op_type in _CONVOLUTIONS or op.op_type in _POOLS:
            return rule is not None and rule(op)
        if not any(name in self._blocked for name in op.inputs):
            return True
        return rule is not None and rule(op)

    def _convolution(self, op: Op) -> bool:
        graph, block = self._graph, self._block
        weights = graph.shape(op.inputs[1])
        constant = all(graph.is_constant(name) for name in op.inputs[1:])
        if len(weights) != 4 or not constant or graph.tensors[op.inputs[1]].dtype != "float32":
            return False
        activation = op.attributes.get("activation")
        if activation is not None and activation not in _ACTIVATIONS | {"HardSigmoid", "Clip", "LeakyRelu"}:
            return False
        channels_out, channels_in = weights[:2]
        group = op.attributes.get("group", 1)
        padded_out, padded_in, from_plain = self._pad(channels_out), channels_in, False
        if group != 1:
            assert isinstance(group, int)  # the schema's type
            if channels_in == 1 and channels_out == group:
                if channels_out % _CHANNEL_ALIGNMENT:
                    return False
                op.attributes["group"] = padded_out
            elif channels_in % block or channels_out % group or (channels_out // group) % block:
                return False
        elif channels_in < block:
            from_plain = True
        elif channels_in % _CHANNEL_ALIGNMENT:
            return False
        else:
            padded_in = self._pad(channels_in)
        source = op.inputs[0]
        first = self._plain_name(source, op) if from_plain else self._enter(source, op)
        others = [graph.derive(op.inputs[1], f"weights:{op.name}", (padded_out, padded_in, *weights[2:]))]
        others += [graph.derive(name, f"bias:{op.name}", (padded_out,)) for name in op.inputs[2:3]]
        op.op_type = "Conv"
        graph.set_inputs(op, [first, *others])
        self._become_blocked(op, channels_out)
        return True

    def _pool(self, op: Op) -> bool:
        graph = self._graph
        shape = graph.shape(op.inputs[0])
        if len(op.outputs) > 1 and any(graph.uses(name) for name in op.outputs[1:]):
            return False
        if len(shape) != 4 or shape[1] % self._block or graph.tensors[op.inputs[0]].dtype != "float32":
            return False
        if op.op_type.startswith("Global"):
            if op.inputs[0] not in self._blocked:
                return False  # not worth a reorder of its own
        else:
            op.attributes.setdefault("ceil_mode", 0)
        graph.set_inputs(op, [self._enter(op.inputs[0], op)])
        self._become_blocked(op, shape[1])
        return True

    def _combine(self, op: Op) -> bool:
        graph = self._graph
        entries = [self._blocked.get(name) for name in op.inputs]
        known = [entry for entry in entries if entry is not None]
        if len(known) != len(entries):
            return op.op_type == "Mul" and self._scale(op)
        if len({(graph.shape(entry.name), entry.channels) for entry in known}) != 1:
            return False
        if op.op_type != "Mul" and len(known) == 2:
            for entry, other in (known, known[::-1]):
                conv = entry.writer
                if conv is not None and entry.uses == 1 and self._can_take_sum(conv):
                    output = op.outputs[0]
                    uses = graph.uses(output)
                    graph.remove(op)
                    graph.set_inputs(conv, [*conv.inputs, other.name])
                    conv.covers += op.covers
                    conv.rank = op.rank
                    self._summed.add(conv)
                    self._blocked[output] = _Blocked(entry.name, entry.channels, conv, uses)
                    return True
        graph.set_inputs(op, [entry.name for entry in known])
        self._become_blocked(op, known[0].channels)
        return True

    def _scale(self, op: Op) -> bool:
        """Turn a product with one constant a channel into a depthwise convolution."""
        graph = self._graph
        data = next(name for name in op.inputs if name in self._blocked)
        others = [name for name in op.inputs if name != data]
        entry = self._blocked[data]
        if len(others) != 1 or not graph.is_constant(others[0]):
            return False
        shape = graph.shape(others[0])
        padded = (1,) * (4 - len(shape)) + shape
        if padded != (1, entry.channels, 1, 1):
            return False
        self._depthwise(op, entry, [others[0]])
        return True

    def _normalization(self, op: Op) -> bool:
        graph = self._graph
        entry = self._blocked.get(op.inputs[0])
        if entry is None or any(graph.uses(name) for name in op.outputs[1:]):
            return False
        if not all(graph.is_constant(name) for name in op.inputs[1:]):
            return False
        self._depthwise(op, entry, op.inputs[1:3])
        return True

    def _depthwise(self, op: Op, entry: _Blocked, parameters: list[str]) -> None:
        channels = self._pad(entry.channels)
        weights = self._graph.derive(parameters[0], f"weights:{op.name}", (channels, 1, 1, 1))
        bias = [self._graph.derive(name, f"bias:{op.name}", (channels,)) for name in parameters[1:2]]
        op.op_type = "Conv"
        op.attributes = {"auto_pad": "NOTSET", "group": channels}
        self._graph.set_inputs(op, [entry.name, weights, *bias])
        self._become_blocked(op, entry.channels)

    def _concatenation(self, op: Op) -> bool:
        entries = [self._blocked.get(name) for name in op.inputs]
        known = [entry for entry in entries if entry is not None and entry.channels % self._block == 0]
        if op.attributes.get("axis") != 1 or len(known) != len(entries):
            return False
        self._graph.set_inputs(op, [entry.name for entry in known])
        self._become_blocked(op, sum(entry.channels for entry in known))
        return True

    def _activation(self, op: Op) -> bool:
        graph = self._graph
        entry = self._blocked[op.inputs[0]]
        conv = entry.writer
        if (
            conv is not None
            and conv.op_type == "Conv"
            and entry.uses == 1
            and "activation" not in conv.attributes
        ):
            uses = graph.uses(op.outputs[0])
            output = op.outputs[0]
            graph.remove(op)
            conv.covers += op.covers
            conv.attributes["activation"] = op.op_type
            self._blocked[output] = _Blocked(entry.name, entry.channels, conv, uses)
            return True
        graph.set_inputs(op, [entry.name])
        self._become_blocked(op, entry.channels)
        return True

    def _become_blocked(self, op: Op, channels: int) -> None:
        """Let the operator write its result in the blocked layout."""
        graph = self._graph
        name = op.outputs[0]
        shape = graph.shape(name)
        uses = graph.uses(name)
        blocked = graph.derive(name, "nchwc", self._padded(shape, channels))
        graph.set_outputs(op, [blocked])
        self._blocked[name] = _Blocked(blocked, channels, op, uses)

    def _enter(self, name: str, op: Op) -> str:
        """Return the blocked form of a tensor, with a kernel that makes it where there is none yet."""
        entry = self._blocked.get(name)
        if entry is None:
            shape = self._graph.shape(name)
            blocked = self._graph.derive(name, "nchwc", self._padded(shape, shape[1]))
            reorder = Op(
                f"ReorderInput:{name}",
                "ReorderInput",
                [name],
                [blocked],
                {"channels_last": 0},
                [],
                op.rank - 0.5,
            )
            self._graph.add(reorder)
            entry = self._blocked[name] = _Blocked(blocked, shape[1], None, 0)
            self._plain.add(name)
        return entry.name

    def _leave(self, op: Op) -> None:
        """Let an operator that knows nothing of blocks read plain tensors."""
        self._graph.set_inputs(op, [self._plain_name(name, op) for name in op.inputs])

    def _plain_name(self, name: str, op: Op) -> str:
        if name not in self._blocked or name in self._plain:
            return name
        self._reorder_output(name, op.rank - 0.5)
        return name

    def _reorder_output(self, name: str, rank: float) -> None:
        if name in self._plain:
            return
        entry = self._blocked[name]
        attributes = {"channels_last": 0, "channels": entry.channels}
        self._graph.add(
            Op(f"ReorderOutput:{name}", "ReorderOutput", [entry.name], [name], dict(attributes), [], rank)
        )
        self._plain.add(name)

    def _pad(self, channels: int) -> int:
        return -(-channels // self._block) * self._block

    def _padded(self, shape: Shape, channels: int) -> Shape:
        return (shape[0], self._pad(channels), *shape[2:])

    def _can_take_sum(self, conv: Op) -> bool:
        return conv.op_type == "Conv" and "activation" not in conv.attributes and conv not in self._summed
