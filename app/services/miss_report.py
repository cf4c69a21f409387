"""Why predictions missed: the error of any run or group of runs, split into its causes.

Each run is held against the version that served when it started, in the state that the device's earlier runs
had left. That state is not stored: it is absorbed anew from up to `RUNS_READ` runs before.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from app.errors import NotFoundError
from app.services.table_files import NUMBER, TEXT, WHOLE, TableFile
from app.services.times import ordered
from app.store import journal, learning, runs, versions
from app.store.batch import soc_name
from app.store.engine import Connection, Database
from app.store.journal import EventFilter, Kind
from app.store.learning import RecordedRun
from app.store.runs import RunFilter, RunInfo
from predictors.device_state import DeviceState
from predictors.explain import PARTS, Miss, MissSummary, ProfileNext, explain, profile_next, summary
from predictors.run import PredictorKey, Run, framework_name_and_version
from predictors.version import PredictorVersion

RUNS_READ = 1_000
"""Newest runs of a predictor that are read: those asked about, and what their device's state rests on."""

PROFILED_NEXT = 5
_MOST_VERSIONS = 1_000

DIMENSIONS = ("soc", "device", "processor", "condition", "model")

COLUMNS = {
    "n": WHOLE,
    "mean_abs_log_ratio": NUMBER,
    "mean_log_ratio": NUMBER,
    **{f"{part}_log_ratio": NUMBER for part in PARTS},
    **{f"{part}_share": NUMBER for part in PARTS},
    "profile_next": TEXT,
}


@dataclass(frozen=True, slots=True)
class MissGroup:
    """The misses of one group, and the operators whose calm timing would shrink them most."""

    group: Mapping[str, str]
    misses: MissSummary
    profile_next: Sequence[ProfileNext]


@dataclass(frozen=True, slots=True)
class MissReport:
    """Groups in order; `runs` were explained, `left_out` could not be.

    Those had no predictor yet, its bytes are discarded, or they are too old.
    """

    groups: Sequence[MissGroup]
    runs: int
    left_out: int


@dataclass(frozen=True, slots=True)
class _Explained:
    info: RunInfo
    run: Run
    version: PredictorVersion
    miss: Miss


def misses(database: Database, group_by: Sequence[str], wanted: RunFilter, *, limit: int = 200) -> MissReport:
    """Explain the newest `limit` runs that a filter lets through, in groups by any of `DIMENSIONS`.

    Raises `InvalidRequestError` for a reversed range, `NotFoundError` for an unknown run.
    """
    ordered(wanted.since_us, wanted.until_us)
    with database.read() as connection:
        asked = runs.list_runs(connection, wanted, limit=limit)
        if wanted.run_id is not None and not asked:
            raise NotFoundError(f"No run {wanted.run_id} is stored.")
        by_key: dict[PredictorKey, dict[int, RunInfo]] = defaultdict(dict)
        for info in asked:
            by_key[_key(info)][info.id] = info
        explained = [item for key, own in by_key.items() for item in _explained(connection, key, own)]
    groups: dict[tuple[str, ...], list[_Explained]] = defaultdict(list)
    for item in explained:
        groups[tuple(_dimension(item.info, name) for name in group_by)].append(item)
    return MissReport(
        [_group(dict(zip(group_by, values, strict=True)), own) for values, own in sorted(groups.items())],
        len(explained),
        len(asked) - len(explained),
    )


def table(report: MissReport, group_by: Sequence[str]) -> TableFile:
    """Return the report as a table: one row a group."""
    rows = [
        {
            **item.group,
            "n": item.misses.n,
            "mean_abs_log_ratio": item.misses.mean_abs_log_ratio,
            "mean_log_ratio": item.misses.mean_log_ratio,
            **{f"{part}_log_ratio": value for part, value in item.misses.parts.items()},
            **{f"{part}_share": value for part, value in item.misses.shares.items()},
            "profile_next": " ".join(own.op_type for own in item.profile_next),
        }
        for item in report.groups
    ]
    return TableFile({**dict.fromkeys(group_by, TEXT), **COLUMNS}, [rows])


def as_json(item: MissGroup) -> dict[str, Any]:
    """Return a group as the wire nests it."""
    return {
        "group": item.group,
        **asdict(item.misses),
        "profile_next": [asdict(own) for own in item.profile_next],
    }


def _group(named: Mapping[str, str], members: Sequence[_Explained]) -> MissGroup:
    by_version: dict[str, list[_Explained]] = defaultdict(list)
    for item in members:
        by_version[item.version.digest].append(item)
    worst = [
        found
        for own in by_version.values()
        for found in profile_next(own[0].version, [item.run for item in own], PROFILED_NEXT)
    ]
    once = {found.signature: found for found in sorted(worst, key=_weight)}
    following = sorted(once.values(), key=_weight, reverse=True)[:PROFILED_NEXT]
    return MissGroup(named, summary([item.miss for item in members]), following)


def _weight(found: ProfileNext) -> float:
    return found.unexplained_us * found.runs


def _explained(connection: Connection, key: PredictorKey, asked: Mapping[int, RunInfo]) -> list[_Explained]:
    records = learning.RunReader().before(connection, max(asked), RUNS_READ, key)
    served = _Served(connection, key)
    states: dict[str, DeviceState] = defaultdict(DeviceState.initial)
    found = []
    for record in sorted(records, key=_start):
        run, device_id = record.run, record.run.query.device_id
        version = served.at(record.run.query.started_at_us)
        if version is None:
            continue
        if record.id in asked:
            miss = explain(version, run, states[device_id])
            found.append(_Explained(asked[record.id], run, version, miss))
        states[device_id] = version.absorb(states[device_id], run)
    return found


class _Served:
    """Which version of a key served when, as far as their bytes are still stored."""

    def __init__(self, connection: Connection, key: PredictorKey) -> None:
        wanted = EventFilter(
            kind=Kind.VERSION.value, soc=key.soc, processor=key.processor, framework=key.framework
        )
        events = journal.list_events(connection, wanted, limit=_MOST_VERSIONS)[::-1]
        known: dict[int, PredictorVersion] = {}
        for number in {event.version_id for event in events if event.version_id is not None}:
            with suppress(NotFoundError, ValueError):
                known[number] = PredictorVersion.from_bytes(versions.content(connection, number))
        kept = [(event.at_us, known[event.version_id]) for event in events if event.version_id in known]
        self._times = [at_us for at_us, _ in kept]
        self._versions = [version for _, version in kept]

    def at(self, time_us: int) -> PredictorVersion | None:
        """Return the version that served at a time, None before the first one that is still stored."""
        place = bisect_right(self._times, time_us)
        return self._versions[place - 1] if place else None


def _start(record: RecordedRun) -> int:
    return record.run.query.started_at_us


def _key(info: RunInfo) -> PredictorKey:
    framework, _ = framework_name_and_version(info.framework)
    return PredictorKey(soc_name(info.soc, info.device_id), info.processor, framework)


def _dimension(info: RunInfo, name: str) -> str:
    values = {
        "soc": soc_name(info.soc, info.device_id),
        "device": info.device_id,
        "processor": info.processor,
        "condition": info.condition or "",
        "model": info.model_name,
    }
    return values[name]
