"""The model's own parallel branches side by side on different processors.

Between two narrow places of the graph (a fork and its join) branches do not depend on each other, so each
goes whole to one processor (µLayer, EuroSys '19, does so too). The trunk stays
on one processor; a fork is dealt only where that beats running its branches one after the other there.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from app.planning.blocks import Block
from app.planning.effort import Effort
from app.planning.pairs import Floats
from app.planning.plan import Draft
from app.planning.problem import Problem
from app.planning.staging import parallel
from app.planning.strategies.mace import with_fallback
from app.planning.strategy import Granularity, ImpossibleError, Strategy

_MAX_DEALS = 256
"""Ways to deal a fork's branches that are tried; beyond, the longest branches are dealt first."""


def propose(problem: Problem, _effort: Effort) -> Sequence[Draft]:
    """Return one draft for each processor that can hold the trunk."""
    forks = [block for block in problem.blocks if len(block.branches) > 1]
    drafts = []
    for trunk in range(len(problem.processors)):
        placement = with_fallback(problem, trunk)
        if placement is None:
            continue
        for fork in forks:
            for branch, processor in zip(fork.branches, deal(problem, fork, trunk, placement), strict=True):
                if processor != trunk:
                    for index in branch:
                        placement[index] = processor
        drafts.append(parallel(problem, placement))
    if not drafts:
        raise ImpossibleError("no processor, with the CPU as its fall-back, can hold the model's trunk")
    return drafts


def deal(problem: Problem, fork: Block, trunk: int, placement: Sequence[int]) -> list[int]:
    """Return the processor of each branch that makes the fork end first; `trunk` means as placed."""
    costs = branch_costs(problem, fork, trunk, placement)
    options = [[place for place, cost in enumerate(row) if cost < float("inf")] for row in costs]
    ways = 1
    for option in options:
        ways *= len(option)
    if ways <= _MAX_DEALS:
        # The first of equals, in order of processors.
        deals = np.array(list(product(*options)))
        return [int(place) for place in deals[_makespans(problem, np.array(costs), deals).argmin()]]
    order = sorted(range(len(costs)), key=lambda branch: -min(costs[branch]))
    dealt = [trunk] * len(costs)
    loads = [0.0] * len(problem.processors)
    for branch in order:
        row = costs[branch]
        best = min(options[branch], key=lambda place: (_load(problem, loads, place) + row[place], place))
        dealt[branch] = best
        loads[best] += row[best]
    return dealt


def branch_costs(problem: Problem, fork: Block, trunk: int, placement: Sequence[int]) -> list[list[float]]:
    """Time of each branch on each processor, with the copies to and from the trunk; infinite: unsupported."""
    latency = problem.costs.rows
    table = []
    for branch in fork.branches:
        members = set(branch)
        entering = {
            tensor
            for index in branch
            for tensor in problem.kernels[index].reads
            if problem.tensors[tensor].writer >= 0 and problem.tensors[tensor].writer not in members
        }
        leaving = {
            tensor
            for index in branch
            for tensor in problem.kernels[index].writes
            if any(reader not in members for reader in problem.tensors[tensor].readers)
        }
        row = []
        for processor in range(len(problem.processors)):
            if processor == trunk:
                row.append(sum([latency[index][placement[index]] for index in branch]))
                continue
            forth, back = problem.costs.transfer[trunk][processor], problem.costs.transfer[processor][trunk]
            copies = sum(forth.cost_us(problem.tensors[item].size_bytes) for item in entering)
            copies += sum(back.cost_us(problem.tensors[item].size_bytes) for item in leaving)
            dispatch = problem.costs.dispatch_us[processor] + problem.costs.dispatch_us[trunk]
            row.append(sum([latency[index][processor] for index in branch]) + copies + dispatch)
        table.append(row)
    return table


def _makespans(problem: Problem, costs: Floats, deals: NDArray[np.intp]) -> Floats:
    """Return when the most loaded processor (with those that share its resources) ends, for each deal."""
    times = costs[np.arange(len(costs)), deals]
    loads = np.stack(
        [(times * (deals == place)).sum(axis=1) for place in range(len(problem.processors))], axis=1
    )
    return np.asarray((loads @ problem.shares).max(axis=1))


def _load(problem: Problem, loads: Sequence[float], processor: int) -> float:
    """Work on a processor and on those that share a resource with it."""
    return sum(load for place, load in enumerate(loads) if problem.shares[processor, place])


STRATEGY = Strategy("branches", Granularity.INTER_OPERATOR, propose)
