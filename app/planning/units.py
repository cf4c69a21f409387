"""What a search places as one: single kernels, or short chains of them where a graph is large."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.planning.problem import Problem
from app.planning.splitting import Dimension

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """Kernels in order that run together.

    `reads` and `writes` are tensors from and for other units; `whole_us` has one latency a processor;
    `parts_us` holds, for each dimension that the whole unit can be cut along, latencies (P, F) over
    `FRACTIONS`. `halo` is the share of the input's height that parts read beyond their own rows; `mixes`
    whether a part by channels reads whole inputs.
    """

    kernels: tuple[int, ...]
    model: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    whole_us: tuple[float, ...]
    parts_us: dict[Dimension, Floats]
    halo: float
    mixes: bool


def units(problem: Problem, limit: int, *, splits: bool) -> list[Unit]:
    """Group kernels into at most about `limit` units, merging the cheapest links of chains first."""
    groups = _coarsened(problem, limit)
    tables = problem.costs.splits if splits else {}
    cuttable = {
        dimension: np.asarray(~np.isnan(table).all(axis=(1, 2))) for dimension, table in tables.items()
    }
    return [_unit(problem, group, tables, cuttable) for group in groups]


def _unit(
    problem: Problem,
    group: Sequence[int],
    tables: dict[Dimension, Floats],
    cuttable: dict[Dimension, NDArray[np.bool_]],
) -> Unit:
    structure, tensors = problem.structure, problem.tensors
    members = set(group)
    kernels = [problem.kernels[index] for index in group]
    reads = dict.fromkeys(
        [
            tensor
            for kernel in kernels
            for tensor in kernel.reads
            if tensors[tensor].writer >= 0 and tensors[tensor].writer not in members
        ]
    )
    writes = tuple(
        [
            tensor
            for kernel in kernels
            for tensor in kernel.writes
            if not members.issuperset(tensors[tensor].readers)
        ]
    )
    rows = list(group)
    parts = {}
    for dimension, table in tables.items():
        inner_mix = dimension is Dimension.CHANNELS and any(structure.mixes[index] for index in rows[1:])
        if not inner_mix and all(cuttable[dimension][index] for index in rows):
            parts[dimension] = table[rows].sum(axis=0) if len(rows) > 1 else table[rows[0]]
    whole = problem.costs.rows
    return Unit(
        tuple(group),
        kernels[0].model,
        tuple(reads),
        writes,
        tuple(whole[rows[0]]) if len(rows) == 1 else tuple(problem.costs.full[rows].sum(axis=0).tolist()),
        parts,
        sum(structure.halo[index] for index in rows),
        structure.mixes[rows[0]],
    )


def _coarsened(problem: Problem, limit: int) -> list[list[int]]:
    """Merge chain links until few enough are left; a link is a kernel and the only one that waits for it."""
    count = len(problem.kernels)
    if count <= limit:
        return [[index] for index in range(count)]
    fastest = problem.costs.full.min(axis=1)
    links = []
    for kernel in problem.kernels:
        following = problem.after[kernel.index]
        if len(following) == 1 and problem.kernels[following[0]].before == (kernel.index,):
            other = following[0]
            if problem.kernels[other].model == kernel.model:
                links.append((float(min(fastest[kernel.index], fastest[other])), kernel.index, other))
    links.sort()
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for _, one, other in links[: count - limit]:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = {}
    for index in range(count):
        groups.setdefault(root(index), []).append(index)
    # A chain's unit stands where its last kernel does: all it reads has been written by then.
    return sorted(groups.values(), key=lambda group: group[-1])
