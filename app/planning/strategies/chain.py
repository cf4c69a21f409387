"""The best sequential partition between operators, by dynamic programming.

On a chain the previous operator's processor is all that matters (Neurosurgeon and its followers); on a
branching graph it is not: a tensor read later must still be fetched from where it is. The state is the
whole frontier of live tensors: for each, who wrote it and where it was copied to. One kernel runs at a
time, in the graph's order; a copy is paid once per tensor and target and stays (the simulator's semantics,
so that the optimum found is the simulated latency).
"""

from collections.abc import Sequence

from app.planning.effort import Effort
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.staging import sequential
from app.planning.strategy import Granularity, ImpossibleError, Strategy

MAX_STATES = 1024
"""States kept a kernel; beyond, the cheapest are kept and the optimum is no longer proven."""

State = tuple[int, ...]
"""The processor in use, then for each live tensor its writer and its copies as `writer << P | mask`."""


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return the optimum (or the best of `MAX_STATES` states a kernel, and say so)."""
    search = FrontierSearch(problem)
    placement = search.run()
    draft = sequential(problem, placement)
    if search.truncated:
        draft = Draft(draft.works, note="the search kept only its cheapest states: not proven optimal")
    return [draft]


class FrontierSearch:
    """One dynamic program over a problem's kernels; `truncated` tells whether states were dropped."""

    def __init__(self, problem: Problem, max_states: int = MAX_STATES) -> None:
        self._problem = problem
        self._max_states = max_states
        self._count = len(problem.processors)
        self._costs: dict[int, list[list[float]]] = {}
        self.truncated = False

    def run(self) -> list[int]:
        """Return the processor of each kernel."""
        states: dict[State, float] = {(-1,): 0.0}
        history: list[dict[State, tuple[State, int]]] = []
        live: list[int] = []
        for kernel in self._problem.kernels:
            states, came, live = self._advance(kernel.index, states, live)
            if not states:
                raise ImpossibleError(f"no processor runs operator '{kernel.name}'")
            history.append(came)
        state = min(states, key=lambda key: (states[key], key))
        placement = []
        for came in reversed(history):
            state, processor = came[state]
            placement.append(processor)
        return placement[::-1]

    def _advance(
        self, index: int, states: dict[State, float], live: list[int]
    ) -> tuple[dict[State, float], dict[State, tuple[State, int]], list[int]]:
        """Run one kernel from every state on every processor."""
        problem = self._problem
        kernel = problem.kernels[index]
        tensors = problem.tensors
        place = {tensor: position + 1 for position, tensor in enumerate(live)}
        reads = [(place[tensor], self._copy_costs(tensor)) for tensor in kernel.reads if tensor in place]
        keep = [place[tensor] for tensor in live if tensors[tensor].readers[-1] > index]
        fresh = [tensor for tensor in kernel.writes if tensors[tensor].readers]
        latency = problem.costs.rows[index]
        choices = [
            (processor, latency[processor], problem.costs.dispatch_us[processor])
            for processor in range(self._count)
            if latency[processor] != float("inf")
        ]
        shift = self._count
        opens = index > 0 and problem.kernels[index - 1].model != kernel.model
        found: dict[State, float] = {}
        came: dict[State, tuple[State, int]] = {}
        for state, cost in states.items():
            for processor, compute, dispatch in choices:
                total = cost + compute
                bit = 1 << processor
                if state[0] != processor or opens:
                    total += dispatch
                after = state
                for position, copies in reads:
                    code = state[position]
                    if not code & bit:
                        total += copies[code >> shift][processor]
                        after = (*after[:position], code | bit, *after[position + 1 :])
                own = processor << shift | bit
                key = (processor, *[after[position] for position in keep], *([own] * len(fresh)))
                best = found.get(key)
                if best is None or total < best:
                    found[key] = total
                    came[key] = (state, processor)
        frontier = [live[position - 1] for position in keep] + fresh
        return self._pruned(found, frontier), came, frontier

    def _copy_costs(self, tensor: int) -> list[list[float]]:
        found = self._costs.get(tensor)
        if found is None:
            size = self._problem.tensors[tensor].size_bytes
            found = [[transfer.cost_us(size) for transfer in row] for row in self._problem.costs.transfer]
            self._costs[tensor] = found
        return found

    def _pruned(self, states: dict[State, float], live: Sequence[int]) -> dict[State, float]:
        """Drop states that cannot win: copying all that is live everywhere from the best one is cheaper."""
        if len(states) <= 1:
            return states
        best = min(states, key=lambda key: (states[key], key))
        worst = max(self._problem.costs.dispatch_us)
        for position, tensor in enumerate(live):
            code = best[position + 1]
            costs = self._copy_costs(tensor)[code >> self._count]
            worst += sum(cost for target, cost in enumerate(costs) if not code >> target & 1)
        limit = states[best] + worst
        kept = {state: cost for state, cost in states.items() if cost <= limit}
        if len(kept) > self._max_states:
            self.truncated = True
            cheapest = sorted(kept, key=lambda key: (kept[key], key))[: self._max_states]
            kept = {state: kept[state] for state in cheapest}
        return kept


STRATEGY = Strategy("chain", Granularity.INTER_OPERATOR, propose)
