"""Which operators a processor hands to another one, as finished runs told.

Frameworks decide by type in the main (a GPU that has no kernel for it), now and then by shape. So an
operator that was timed goes where it went, any other where most of its type did.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from predictors.graph import Operator

_SIBLINGS_COUNT = 0.5
"""How many operators the siblings' share of a type is worth: less than one of the processor's own."""


@dataclass(frozen=True)
class FallBacks:
    """Share (0 to 1) of each type's operators that ran elsewhere, and who does not do as most of its type.

    Types absent from `types` run where they are asked to; `exceptions` maps signatures to whether they fall
    back.
    """

    types: Mapping[str, float] = field(default_factory=dict)
    exceptions: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, timings: Iterable[tuple[Operator, int, bool]], siblings: "FallBacks | None" = None
    ) -> "FallBacks":
        """Fit on (operator, how often it was timed, whether elsewhere); an operator may have both.

        However often it was timed, an operator counts once for its type. A type with few operators leans on
        what siblings showed of it.
        """
        siblings = siblings or NO_FALL_BACKS
        counts: dict[Operator, list[int]] = defaultdict(lambda: [0, 0])
        for operator, count, elsewhere in timings:
            counts[operator][elsewhere] += count
        by_type: dict[str, list[float]] = defaultdict(list)
        for operator, (here, away) in counts.items():
            by_type[operator.op_type].append(away / max(here + away, 1))
        types = dict(siblings.types)
        for op_type, shares in by_type.items():
            before = _SIBLINGS_COUNT * siblings.types.get(op_type, 0.0)
            types[op_type] = (sum(shares) + before) / (len(shares) + _SIBLINGS_COUNT)
        usual = cls({op_type: share for op_type, share in types.items() if share > 0.0})
        exceptions = {}
        for operator, (here, away) in counts.items():
            if (away > here) != usual.expected(operator):
                exceptions[operator.signature] = away > here
        known = {operator.signature for operator in counts}
        lent = {name: away for name, away in siblings.exceptions.items() if name not in known}
        return cls(usual.types, lent | exceptions)

    def expected(self, operator: Operator) -> bool:
        """Return whether an operator will run elsewhere."""
        if not self.types and not self.exceptions:
            return False
        by_type = self.expected_of_type(operator.op_type)
        return self.exceptions.get(operator.signature, by_type) if self.exceptions else by_type

    def expected_of_type(self, op_type: str) -> bool:
        """Return whether operators of a type run elsewhere unless they are exceptions."""
        return self.types.get(op_type, 0.0) > 0.5

    def to_json(self) -> dict[str, Any]:
        """Return them as plain data."""
        return {"types": dict(self.types), "exceptions": dict(self.exceptions)}


NO_FALL_BACKS = FallBacks()
"""Every operator runs where it is asked to."""
