"""Versions of what lies below a model: framework, operating system, drivers. Their changes are change points.

A name that was not told before, or is not told now, is no change.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from predictors.bias import NO_BIAS
from predictors.device_state import DeviceState
from predictors.run import RunQuery

FRAMEWORK = "framework"

_MOST_NAMES = 6
_MOST_KNOWN = 60
_NAME_LENGTH = 10
_RESTART_WIDER_LOG = 0.4

Marks = tuple[tuple[str, str], ...]


@lru_cache(maxsize=10_000)
def software_of(os: str, drivers: str) -> Mapping[str, str]:
    """Return versions by name from a device's description; `drivers` is a JSON object of texts."""
    versions = {"os": os} if os else {}
    return MappingProxyType(
        {**versions, **{str(name): str(text) for name, text in json.loads(drivers).items()}}
    )


def versions_of(query: RunQuery) -> dict[str, str]:
    """Return every version told with a run, the framework's first."""
    versions = {FRAMEWORK: query.framework_version, **query.software}
    return {name: version for name, version in versions.items() if version}


def marks_of(query: RunQuery) -> Marks:
    """Return a few characters that stand for each version told with a run."""
    return _marks(tuple(versions_of(query).items()))


@lru_cache(maxsize=10_000)
def _marks(versions: tuple[tuple[str, str], ...]) -> Marks:
    return tuple(
        (name[:_NAME_LENGTH], hashlib.sha256(version.encode()).hexdigest()[:4])
        for name, version in versions[:_MOST_NAMES]
    )


def current(state: DeviceState, query: RunQuery, reference: str, trees: str) -> DeviceState:
    """Return the state as it counts for a run that starts now.

    A state kept against another calm profile than `reference` counts nothing. Where a version changed since
    the newest run, the state starts anew with wider intervals: context alone tells then. How far other
    `trees` were off tells nothing of these, which have learned from the same runs.
    """
    kept = _kept(state, query, reference)
    return kept if kept.trees == trees else replace(kept, bias=NO_BIAS, trees=trees)


def _kept(state: DeviceState, query: RunQuery, reference: str) -> DeviceState:
    if state.reference not in ("", reference):
        return DeviceState.initial()
    if not state.software:
        return state
    before = dict(state.software)
    if any(before.get(name, mark) != mark for name, mark in marks_of(query)):
        return DeviceState(widths=state.widths.wider(_RESTART_WIDER_LOG))
    return state


def merged(before: Marks, query: RunQuery) -> Marks:
    """Return the marks after a run: those it tells, and what it does not tell as it was."""
    told = marks_of(query)
    if before == told:
        return before
    return tuple({**dict(before), **dict(told)}.items())[-_MOST_NAMES:]


def change(known: tuple[str, ...], query: RunQuery) -> tuple[tuple[str, ...], str]:
    """Return the versions known after a run, and what changed: `framework 1.30 → 1.31`, empty if nothing.

    `known` holds texts `name version`, newest last. A version met before, on any device, is no change.
    """
    changes = []
    for name, version in versions_of(query).items():
        text = f"{name} {version}"
        if text in known:
            continue
        before = [item.removeprefix(f"{name} ") for item in known if item.startswith(f"{name} ")]
        if before:
            changes.append(f"{name} {before[-1]} → {version}")
        known = (*known, text)[-_MOST_KNOWN:]
    return known, ", ".join(changes)
