"""The conditions that experiments make: each at its fullest, so that runs of a command can be compared."""

from collections.abc import Sequence

from collectors.conditions import Load, Regime, read_conditions

CONDITIONS = ("s0", "s1", "s2", "s3", "s4")


def fullest(name: str, core: int, cores: Sequence[int]) -> Regime:
    """Return a condition on `core` with its greatest duties and its slowest clock."""
    condition = read_conditions()[name]
    others = [other for other in cores if other != core] or [core]
    return Regime(
        condition=name,
        core=core,
        loads=tuple(
            Load(load.kind, core if load.place == "same" else others[0], max(load.duty))
            for load in condition.loads
        ),
        speed=min(condition.throttle, default=1.0),
    )


def competitors(count: int, cores: Sequence[int]) -> Regime:
    """Return `count` processes that are always busy, spread over the cores in turn."""
    loads = tuple(Load("compute", cores[place % len(cores)], 1.0) for place in range(count))
    return Regime(condition=f"{count} competing", core=cores[0], loads=loads)
