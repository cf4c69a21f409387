"""The pattern language of fusion: what a framework merges, written as data.

A `Chain` merges an operator with the only reader of its result. A `Template` replaces a small subgraph,
written one operator a line from inputs to result::

    d = Div x c1
    e = Erf d
    y = Mul d e

Names that begin with `c` stand for constants; operands of commutative operators may come in any order;
inner results must not be read outside the subgraph.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from predictors.fusion.rewriting import Op, Rewriting
from predictors.graph import AttributeValue

_COMMUTATIVE = frozenset({"Add", "Mul", "Max", "Min", "Sum"})
Condition = Callable[[Rewriting, Op, Op], bool]


def always(_graph: Rewriting, _first: Op, _second: Op) -> bool:
    """Hold for every pair."""
    return True


@dataclass(frozen=True)
class Chain:
    """Merge `first` with its only reader `second`, into a kernel of type `becomes` (None keeps the first's).

    `activation` records the second's type as the first's attribute; `keeps` are attributes of the second
    that go into the list attribute `activation_params`; `reads_more` appends the second's other inputs;
    `bias` is the place, among those, of what becomes the first's bias where it has none.
    """

    first: frozenset[str]
    second: frozenset[str]
    becomes: str | None = None
    activation: bool = False
    keeps: tuple[str, ...] = ()
    reads_more: bool = False
    bias: int | None = None
    when: Condition = always

    def apply(self, graph: Rewriting, first: Op) -> bool:
        """Merge once at `first` where the pattern holds; tell whether it did."""
        if first.op_type not in self.first:
            return False
        second = graph.only_reader(first)
        if second is None or second.op_type not in self.second or len(second.outputs) != 1:
            return False
        if not self.when(graph, first, second):
            return False
        if self.activation:
            first.attributes["activation"] = second.op_type
            if self.keeps:
                first.attributes["activation_params"] = [
                    float(value)
                    for key in self.keeps
                    if isinstance(value := second.attributes.get(key, 0.0), int | float)
                ]
        others = [name for name in second.inputs if name not in first.outputs]
        extra = others if self.reads_more else []
        if self.bias is not None and len(first.inputs) == 2:
            channels = graph.shape(first.inputs[1])[0]
            extra = [graph.derive(others[self.bias], f"bias:{first.name}", (channels,))]
        graph.merge(first, second, self.becomes, extra)
        return True


@dataclass(frozen=True)
class Template:
    """Replace the subgraph `body` by one kernel `becomes` that reads the body's names `reads`."""

    body: str
    becomes: str
    reads: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = [line.split() for line in self.body.strip().splitlines()]
        steps = {words[0]: (words[2], tuple(words[3:])) for words in lines}
        object.__setattr__(self, "_steps", steps)
        object.__setattr__(self, "_result", lines[-1][0])

    def apply(self, graph: Rewriting, last: Op) -> bool:
        """Replace once where the subgraph ends at `last`; tell whether it did."""
        bound: dict[str, str] = {}
        matched: dict[str, Op] = {}
        if not self._match(graph, self._result, last.outputs[0], bound, matched):
            return False
        inner = [op for name, op in matched.items() if name != self._result]
        members = {*inner, last}
        if len(members) != len(self._steps):
            return False
        if any(
            name in graph.outputs or not set(graph.readers.get(name, ())) <= members
            for op in inner
            for name in op.outputs
        ):
            return False
        outputs = list(last.outputs)
        for op in members:
            graph.remove(op)
        ordered = sorted(members, key=lambda op: op.rank)
        graph.add(
            Op(
                last.name,
                self.becomes,
                [bound[name] for name in self.reads],
                outputs,
                dict(self.attributes),
                [name for op in ordered for name in op.covers],
                last.rank,
            )
        )
        return True

    _steps: Mapping[str, tuple[str, tuple[str, ...]]] = field(init=False, repr=False, compare=False)
    _result: str = field(init=False, repr=False, compare=False)

    def _match(
        self, graph: Rewriting, name: str, tensor: str, bound: dict[str, str], matched: dict[str, Op]
    ) -> bool:
        """Match pattern name `name` against a tensor; bindings are extended in place where it holds."""
        if name in bound:
            return bound[name] == tensor
        if name not in self._steps:
            if name.startswith("c") and not graph.is_constant(tensor):
                return False
            bound[name] = tensor
            return True
        op_type, operands = self._steps[name]
        op = graph.writer.get(tensor)
        if op is None or op.op_type != op_type or len(op.inputs) < len(operands):
            return False
        orders = [op.inputs[: len(operands)]]
        if op_type in _COMMUTATIVE and len(operands) == 2:
            orders.append(orders[0][::-1])
        for order in orders:
            trial, found = {**bound, name: tensor}, {**matched, name: op}
            if all(
                self._match(graph, wanted, actual, trial, found)
                for wanted, actual in zip(operands, order, strict=True)
            ):
                bound.update(trial)
                matched.update(found)
                return True
        return False


def apply_chains(graph: Rewriting, chains: tuple[Chain, ...]) -> None:
    """Merge until none of the chains holds anywhere, in order of the graph."""
    for op in graph:
        while any(chain.apply(graph, op) for chain in chains):
            pass


def apply_templates(graph: Rewriting, templates: tuple[Template, ...]) -> None:
    """Replace each template wherever it holds, in the order of the templates."""
    for template in templates:
        for op in graph:
            if op.outputs:
                template.apply(graph, op)
