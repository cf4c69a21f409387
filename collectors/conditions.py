"""The named regimes of `data/conditions.toml`, and drawing one episode's loads from them."""

import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from collectors.errors import CollectorError

CONDITIONS_FILE = Path(__file__).parents[1] / "data" / "conditions.toml"


class LoadRange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A load as the file states it: one of several duties (0 to 1)."""

    kind: Literal["compute", "memory"]
    place: Literal["same", "other"]
    duty: tuple[float, ...]


class Condition(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A regime: its loads, and the shares of full speed that its throttled clock may have.

    With `neighbour` another model runs on another processor.
    """

    summary: str
    loads: tuple[LoadRange, ...] = ()
    throttle: tuple[float, ...] = ()
    neighbour: bool = False


class Load(msgspec.Struct, frozen=True):
    """One load of an episode, on one core."""

    kind: str
    core: int
    duty: float


class Regime(msgspec.Struct, frozen=True):
    """What one episode does to the machine; `speed` is 1 for an unthrottled clock."""

    condition: str
    core: int
    loads: tuple[Load, ...]
    speed: float = 1.0


def read_conditions(path: Path = CONDITIONS_FILE) -> dict[str, Condition]:
    """Return all conditions by name.

    Raises:
        CollectorError: the file is not what it should be; the message says where.

    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), dict[str, Condition])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CollectorError(f"{path}: {error}") from error


def draw_regime(
    name: str, condition: Condition, core: int, cores: Sequence[int], rng: random.Random
) -> Regime:
    """Draw duties and speed for an episode of `condition` on `core`, one of the `cores` of the machine."""
    others = [other for other in cores if other != core] or [core]
    return Regime(
        condition=name,
        core=core,
        loads=tuple(
            Load(
                kind=load.kind,
                core=core if load.place == "same" else rng.choice(others),
                duty=rng.choice(load.duty),
            )
            for load in condition.loads
        ),
        speed=rng.choice(condition.throttle) if condition.throttle else 1.0,
    )
