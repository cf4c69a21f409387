"""The best plan of whole kernels on small graphs, by branch and bound over all of them.

The beam search never lengthens a work that another processor already waits for; that can pay, because a
dispatch is saved, and only trying everything finds it. For each kernel in the graph's order the choices are
its processor, and whether it joins that processor's last work (of the same model) or opens one. What is
begun is simulated, and given up once it cannot end before the best known plan.
"""

from app.planning.plan import Draft, Work
from app.planning.problem import Problem
from app.planning.staging import in_order
from app.planning.timeline import simulate

MOST_TRIED = 10_000
"""Beginnings that are simulated at most."""

_NEGLIGIBLE = 1e-9


class Exhaustive:
    """One search for a plan below `incumbent_us`; `truncated` tells whether it had to stop."""

    def __init__(self, problem: Problem, incumbent_us: float, most_tried: int = MOST_TRIED) -> None:
        self._problem = problem
        self._best_us = incumbent_us
        self._left = most_tried
        self._found: Draft | None = None
        places = range(len(problem.processors))
        rows = problem.costs.rows
        self._options = [[place for place in places if row[place] < float("inf")] for row in rows]
        self._begin_us = [0.0] * len(rows)
        """For each kernel the least time from its start to the end of everything."""
        for index in range(len(rows) - 1, -1, -1):
            after = max([self._begin_us[other] for other in problem.after[index]], default=0.0)
            self._begin_us[index] = min(rows[index]) + after

    def run(self) -> Draft | None:
        """Return the best draft, None where nothing is below the incumbent."""
        self._extend(0, (), {})
        return self._found

    @property
    def truncated(self) -> bool:
        """Tell whether some beginnings were never looked at."""
        return self._left <= 0

    def _extend(self, index: int, works: tuple[Work, ...], last: dict[int, int]) -> None:
        """Try every way to go on after the first `index` kernels; `last` are works that can be joined."""
        if works and not self._promising(works, index):
            return
        if index == len(self._options):
            return
        kernels = self._problem.kernels
        for place in self._options[index]:
            # A work that another processor with the same resources followed is over.
            free = {key: work for key, work in last.items() if not self._problem.shares[place, key]}
            opened = (*works, Work((index,), place))
            self._extend(index + 1, opened, {**free, place: len(works)})
            if place in last and kernels[works[last[place]].kernels[0]].model == kernels[index].model:
                joined = list(works)
                joined[last[place]] = Work((*works[last[place]].kernels, index), place)
                self._extend(index + 1, tuple(joined), {**free, place: last[place]})

    def _promising(self, works: tuple[Work, ...], placed: int) -> bool:
        """Tell whether what is begun may still end before the best; keep it if it is complete and does."""
        if self._left <= 0:
            return False
        self._left -= 1
        try:
            draft = Draft(tuple(in_order(self._problem, works)))
        except ValueError:
            return False  # works that wait for each other in a circle do so to the end
        timeline = simulate(self._problem, draft)
        bound_us = timeline.latency_us
        for work, end in zip(draft.works, timeline.end_us, strict=True):
            for index in work.kernels:
                for other in self._problem.after[index]:
                    if other >= placed:
                        bound_us = max(bound_us, end + self._begin_us[other])
        if bound_us >= self._best_us * (1 - _NEGLIGIBLE):
            return False
        if placed == len(self._options):
            self._best_us, self._found = bound_us, draft
        return True
