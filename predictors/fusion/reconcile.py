"""Check a mapping against what devices reported for the same model, and correct it where they differ.

Reports carry no node names: only the sequence of kernels that ran. The mapping's kernels are walked along
that sequence; where both agree the reported order is kept, and what lies between two agreements is replaced
by what was reported, covering the same operators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predictors.fusion.kernel_graph import KernelGraph
from predictors.fusion.rewriting import Op, Rewriting
from predictors.graph import ModelGraph, Operator

_MAX_SKIPPED = 6
"""Unreported kernels that may stand between two reported ones before the search gives up there."""


def agreement(kernel_graph: KernelGraph, reported: Sequence[Operator]) -> float:
    """Return the share (0 to 1) of kernels, mapped and reported together, that the walk can pair."""
    total = len(kernel_graph.operators) + len(reported)
    steps = _walk(kernel_graph.graph, reported)
    paired = sum(step.kernel is not None and step.reported is not None for step in steps)
    return 2 * paired / total if total else 1.0


def reconcile(kernel_graph: KernelGraph, reported: Sequence[Operator]) -> KernelGraph:
    """Return the mapping as devices reported it; its `mapping` says whether it was confirmed or corrected.

    Every reported kernel is in the result with its reported record and in the reported order, and every
    operator that the mapping covered is covered still.
    """
    if not reported:
        return kernel_graph
    steps = _walk(kernel_graph.graph, reported)
    corrected = _Correction(kernel_graph, reported).apply(steps)
    same = len(reported) == len(kernel_graph.operators) and all(
        step.kernel is not None
        and step.reported is not None
        and kernel_graph.operators[step.kernel] == reported[step.reported]
        for step in steps
    )
    name = kernel_graph.mapping.partition(" ")[0]
    return corrected.freeze(kernel_graph, f"{name} {'confirmed' if same else 'corrected'} by reports")


@dataclass(frozen=True, slots=True)
class _Step:
    """One mapped kernel, one reported kernel, or a pair that agrees; in order of execution."""

    kernel: int | None
    reported: int | None


def _loose(operator: Operator) -> tuple[object, ...]:
    """Return what must be equal for two kernels to be taken for the same: type and results."""
    return operator.op_type, operator.outputs


def _walk(graph: ModelGraph, reported: Sequence[Operator]) -> list[_Step]:
    """Return the mapping's kernels in the order in which the report ran them."""
    steps: list[_Step] = []
    pending = {index: set(before) for index, before in enumerate(graph.predecessors)}
    waiting: dict[tuple[object, ...], list[int]] = {}
    for index, node in enumerate(graph.nodes):
        waiting.setdefault(_loose(node.operator), []).append(index)
    done: set[int] = set()

    def run(kernel: int, place: int | None) -> None:
        done.add(kernel)
        pending.pop(kernel)
        steps.append(_Step(kernel, place))

    for place, operator in enumerate(reported):
        candidates = [index for index in waiting.get(_loose(operator), ()) if index not in done]
        best: list[int] | None = None
        chosen = -1
        for index in candidates:
            skipped = _unfinished(graph, index, done)
            if skipped is None:
                continue
            key = (len(skipped), graph.nodes[index].operator != operator)
            if best is None or key < (len(best), graph.nodes[chosen].operator != operator):
                best, chosen = skipped, index
            if key == (0, False):
                break
        if best is None:
            steps.append(_Step(None, place))
            continue
        for skipped_kernel in best:
            run(skipped_kernel, None)
        run(chosen, place)
    for index in sorted(pending):
        steps.append(_Step(index, None))
    return steps


def _unfinished(graph: ModelGraph, kernel: int, done: set[int]) -> list[int] | None:
    """Kernels that must run before one and have not, in order; None where they are too many."""
    found: set[int] = set()
    stack = [kernel]
    while stack:
        for earlier in graph.predecessors[stack.pop()]:
            if earlier not in done and earlier not in found:
                found.add(earlier)
                if len(found) > _MAX_SKIPPED:
                    return None
                stack.append(earlier)
    return sorted(found)


class _Correction:
    """Rebuild a kernel graph from the steps of a walk."""

    def __init__(self, kernel_graph: KernelGraph, reported: Sequence[Operator]) -> None:
        self._graph = Rewriting(kernel_graph.graph)
        self._covers = kernel_graph.covers
        self._reported = reported
        self._ops: Mapping[str, Op] = {op.name: op for op in self._graph}
        self._names = [node.name for node in kernel_graph.graph.nodes]
        self._records: dict[str, Operator] = {}
        self._folded = list(kernel_graph.folded)
        self._last: Op | None = None

    def apply(self, steps: Sequence[_Step]) -> "_Correction":
        """Take the steps in order; unmatched kernels are settled at the next agreement."""
        for op, covers in zip(self._ops.values(), self._covers, strict=True):
            op.covers = list(covers)
        loose: list[_Step] = []
        for place, step in enumerate(steps):
            if step.kernel is None or step.reported is None:
                loose.append(step)
                continue
            op = self._op(step.kernel)
            self._settle(loose, op, place)
            loose = []
            op.rank = float(place)
            self._record(op, self._reported[step.reported])
            self._last = op
        self._settle(loose, None, len(steps))
        return self

    def freeze(self, kernel_graph: KernelGraph, mapping: str) -> KernelGraph:
        """Return the corrected kernel graph with the reported records."""
        frozen = self._graph.freeze(kernel_graph.framework, mapping, self._records)
        return KernelGraph(frozen.graph, frozen.covers, tuple(self._folded), kernel_graph.framework, mapping)

    def _op(self, kernel: int) -> Op:
        return self._ops[self._names[kernel]]

    def _record(self, op: Op, operator: Operator) -> None:
        op.op_type = operator.op_type
        op.attributes = dict(operator.attributes)
        self._records[op.name] = operator

    def _settle(self, loose: Sequence[_Step], following: Op | None, place: int) -> None:
        """Replace mapped kernels that were not reported by reported ones that were not mapped."""
        mapped = [self._op(step.kernel) for step in loose if step.kernel is not None]
        extra = [step.reported for step in loose if step.reported is not None]
        if mapped and not extra:
            self._absorb(mapped, following)
            return
        if mapped:
            first = self._contract(mapped)
            first.rank = place - 0.5
            self._record(first, self._reported[extra[-1]])
            extra = extra[:-1]
            following = first
        for offset, index in enumerate(extra):
            self._insert(index, following, place - 1 + offset / (len(extra) + 1))

    def _absorb(self, mapped: list[Op], following: Op | None) -> None:
        """Let a neighbour stand for kernels that nobody reported."""
        if following is not None:
            self._contract([*mapped, following])
        elif self._last is not None:
            self._contract([self._last, *mapped], keep=self._last)
        else:
            for op in mapped:
                self._folded += op.covers
                self._graph.remove(op)

    def _contract(self, ops: list[Op], keep: Op | None = None) -> Op:
        """Merge kernels that are neighbours in the order into one (by default the last)."""
        kept = keep or ops[-1]
        inner = {name for op in ops for name in op.outputs}
        inputs = list(dict.fromkeys(name for op in ops for name in op.inputs if name not in inner))
        covers = [name for op in ops for name in op.covers]
        for op in ops:
            if op is not kept:
                self._graph.remove(op)
        outputs = [
            name
            for op in ops
            for name in op.outputs
            if name in self._graph.outputs or set(self._graph.readers.get(name, ())) - {*ops}
        ]
        self._graph.set_inputs(kept, inputs)
        self._graph.set_outputs(kept, outputs or kept.outputs)
        kept.covers = covers
        return kept

    def _insert(self, index: int, following: Op | None, rank: float) -> None:
        """Put a reported kernel that covers nothing between its neighbours."""
        operator = self._reported[index]
        name = f"reported:{index}"
        source = [self._last.outputs[0]] if self._last is not None else list(self._graph.source.inputs[:1])
        self._graph.new_tensor(name, operator)
        op = self._graph.add(Op(name, operator.op_type, source, [name], dict(operator.attributes), [], rank))
        self._records[name] = operator
        if following is not None:
            self._graph.set_inputs(following, [*following.inputs, name])
        self._last = op
