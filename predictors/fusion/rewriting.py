"""A graph under rewriting: operators can be merged, dropped and inserted until it is frozen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from predictors.fusion.kernel_graph import KernelGraph
from predictors.graph import AttributeValue, ModelGraph, Node, Operator, Shape, Tensor
from predictors.topology import topological_order


@dataclass(eq=False)
class Op:
    """One operator being rewritten; `covers` names the file's operators that it stands for."""

    name: str
    op_type: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, AttributeValue]
    covers: list[str] = field(default_factory=list)
    rank: float = 0.0
    """Where the operator stands among others that could run at the same time."""


class Rewriting:
    """A mutable operator graph with an index of who writes and who reads each tensor."""

    def __init__(self, graph: ModelGraph) -> None:
        self.source = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.outputs = set(graph.outputs)
        self.folded: list[str] = []
        self.writer: dict[str, Op] = {}
        self.readers: dict[str, list[Op]] = {}
        self._ops: dict[Op, None] = {}
        for index, node in enumerate(graph.nodes):
            self.add(
                Op(
                    node.name,
                    node.operator.op_type,
                    list(node.inputs),
                    list(node.outputs),
                    dict(node.operator.attributes),
                    [node.name],
                    float(index),
                )
            )

    def __iter__(self) -> Iterator[Op]:
        """Iterate over the operators in order; those that vanish while iterating are left out."""
        for op in sorted(self._ops, key=lambda op: op.rank):
            if op in self._ops:
                yield op

    def add(self, op: Op) -> Op:
        """Insert an operator."""
        self._ops[op] = None
        for name in op.outputs:
            self.writer[name] = op
        for name in op.inputs:
            self.readers.setdefault(name, []).append(op)
        return op

    def remove(self, op: Op) -> None:
        """Take an operator out; its outputs are written by nobody until another takes them over."""
        del self._ops[op]
        for name in op.inputs:
            self.readers[name].remove(op)
        for name in op.outputs:
            if self.writer.get(name) is op:
                del self.writer[name]

    def set_inputs(self, op: Op, inputs: Sequence[str]) -> None:
        """Let an operator read other tensors."""
        for name in op.inputs:
            self.readers[name].remove(op)
        op.inputs = list(inputs)
        for name in op.inputs:
            self.readers.setdefault(name, []).append(op)

    def set_outputs(self, op: Op, outputs: Sequence[str]) -> None:
        """Let an operator write other tensors."""
        for name in op.outputs:
            if self.writer.get(name) is op:
                del self.writer[name]
        op.outputs = list(outputs)
        for name in op.outputs:
            self.writer[name] = op

    def redirect(self, old: str, new: str) -> None:
        """Let all readers of tensor `old` read `new` instead."""
        for op in list(self.readers.get(old, [])):
            if op.inputs and old in op.inputs:
                self.set_inputs(op, [new if name == old else name for name in op.inputs])

    def uses(self, name: str) -> int:
        """Return the number of reads of a tensor, being a graph output counted as one."""
        return len(self.readers.get(name, [])) + (name in self.outputs)

    def only_reader(self, op: Op) -> Op | None:
        """Return the one operator that reads the only output of `op`, None where there are others."""
        used = [name for name in op.outputs if self.uses(name)]
        if used != op.outputs[:1] or self.uses(used[0]) != 1 or used[0] in self.outputs:
            return None
        return self.readers[used[0]][0]

    def merge(self, first: Op, second: Op, op_type: str | None = None, extra: Sequence[str] = ()) -> None:
        """Let `first` compute what `second` did, reading `extra` tensors too; `second` is gone."""
        outputs = second.outputs
        self.remove(second)
        self.set_outputs(first, outputs)
        self.set_inputs(first, [*first.inputs, *extra])
        first.covers += second.covers
        first.op_type = op_type or first.op_type
        first.rank = second.rank

    def bypass(self, op: Op) -> None:
        """Drop an operator that passes its first input on; its work is done by whoever writes that."""
        source, target = op.inputs[0], op.outputs[0]
        self.remove(op)
        writer = self.writer.get(source)
        if writer is not None:
            writer.covers += op.covers
        else:
            self.folded += op.covers
        if target in self.outputs and writer is not None and source not in self.outputs:
            self.redirect(source, target)
            self.set_outputs(writer, [target if name == source else name for name in writer.outputs])
        self.redirect(target, source)

    def is_constant(self, name: str) -> bool:
        """Tell whether a tensor's value is known before the model runs."""
        tensor = self.tensors.get(name)
        return tensor is not None and tensor.constant

    def make_constant(self, name: str) -> None:
        """Mark a tensor as computed when the model is loaded."""
        self.tensors[name] = replace(self.tensors[name], constant=True)

    def shape(self, name: str) -> Shape:
        """Return the shape of a tensor."""
        return self.tensors[name].shape

    def derive(self, name: str, suffix: str, shape: Shape) -> str:
        """Register a variant of a tensor under a name of its own and return that name."""
        derived = f"{name}@{suffix}"
        self.tensors[derived] = replace(self.tensors[name], name=derived, shape=shape, content="")
        return derived

    def new_constant(self, name: str, shape: Shape, dtype: str) -> str:
        """Register a constant that the framework brings in, and return its name."""
        self.tensors[name] = Tensor(name, shape, dtype, constant=True)
        return name

    def new_tensor(self, name: str, operator: Operator) -> None:
        """Register the result of an operator under a name of its own."""
        shape = operator.outputs[0] if operator.outputs else ()
        self.tensors[name] = Tensor(name, shape, operator.dtype)

    def freeze(
        self, framework: str, mapping: str, records: Mapping[str, Operator] | None = None
    ) -> KernelGraph:
        """Return what stands now as an immutable kernel graph, in topological order.

        `records` are operators by kernel name that were observed, and go before what the rules derive.
        """
        ranked = list(self)
        position = {name: index for index, op in enumerate(ranked) for name in op.outputs}
        before = [{position[name] for name in op.inputs if name in position} for op in ranked]
        order = topological_order(before)
        if order is None:
            raise AssertionError("a rewriting must keep the graph acyclic")
        ops = [ranked[index] for index in order]
        seen = records or {}
        nodes = tuple(
            Node(op.name, seen.get(op.name) or self._operator(op), tuple(op.inputs), tuple(op.outputs))
            for op in ops
        )
        used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
        used |= {*self.source.inputs, *self.source.outputs}
        graph = replace(
            self.source,
            nodes=nodes,
            tensors={name: tensor for name, tensor in self.tensors.items() if name in used},
        )
        return KernelGraph(
            graph, tuple(tuple(op.covers) for op in ops), tuple(self.folded), framework, mapping
        )

    def _operator(self, op: Op) -> Operator:
        first = (*op.inputs, *op.outputs)[:1]
        return Operator(
            op.op_type,
            tuple(self.shape(name) for name in op.inputs),
            tuple(self.shape(name) for name in op.outputs),
            self.tensors[first[0]].dtype if first else "unknown",
            dict(op.attributes),
        )
