"""Which operators a processor does not run: as the request says, the device declared, or runs showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.store.support import Support

LEAST_TOLD = 3
"""Operators of a type that must have told where they ran before their majority counts."""


@dataclass(frozen=True, slots=True)
class ProcessorSupport:
    """Operator types that a processor does not run.

    `basis` says who spoke: a `request` is believed alone; what the device `declared` holds together with what
    was `learned`: types of which most ran elsewhere, with how many told where they ran.
    """

    unsupported: tuple[str, ...]
    basis: Literal["request", "declared"]
    learned: Mapping[str, int] = field(default_factory=dict)


def support_of(
    declared: Sequence[str], requested: Sequence[str] | None, told: Mapping[str, Support]
) -> ProcessorSupport:
    """Return what a processor does not run; `told` are counts of where operators of each type ran."""
    if requested is not None:
        return ProcessorSupport(tuple(sorted(set(requested))), "request")
    learned = {
        op_type: counts.n
        for op_type, counts in sorted(told.items())
        if counts.n >= LEAST_TOLD and 2 * counts.elsewhere > counts.n and op_type not in declared
    }
    return ProcessorSupport(tuple(sorted({*declared, *learned})), "declared", learned)
