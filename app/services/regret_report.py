"""The regret report: what choosing plans by predictions costs, in groups of episodes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.services.episodes import RUNTIME, Episode, episodes
from app.services.regret_figures import Choice, RegretFigures, figures
from app.store import logged
from app.store.engine import Database

DIMENSIONS = ("strategy", "condition", "predictor", "model", "device", "soc")
"""What the report can group by."""

MOST_EXECUTIONS = 20_000
"""Newest executions that a report reads."""


@dataclass(frozen=True, slots=True)
class RegretFilter:
    """Which executions: those that started in a range, on one device, on one SoC."""

    since_us: int | None = None
    until_us: int | None = None
    device_id: str | None = None
    soc: str | None = None


@dataclass(frozen=True, slots=True)
class RegretGroup:
    """One line of the report."""

    group: Mapping[str, str]
    figures: RegretFigures


@dataclass(frozen=True, slots=True)
class RegretReport:
    """All groups in order, and on how many executions they rest; `complete` unless older were left out."""

    groups: Sequence[RegretGroup]
    executions: int
    complete: bool


def regret(database: Database, group_by: Sequence[str], wanted: RegretFilter) -> RegretReport:
    """Return the report by any of `DIMENSIONS`.

    Grouped by predictor, a line tells of the plans which that predictor chose, else of those the runtime
    predictor chose; grouped by strategy, of the plan chosen among that strategy's alone.
    """
    with database.read() as connection:
        found = logged.newest(
            connection,
            MOST_EXECUTIONS,
            since_us=wanted.since_us,
            until_us=wanted.until_us,
            device_id=wanted.device_id,
            soc=wanted.soc,
        )
    groups: dict[tuple[str, ...], list[Choice]] = defaultdict(list)
    for episode in episodes(found):
        for names, choice in _choices(episode, group_by):
            groups[names].append(choice)
    return RegretReport(
        [
            RegretGroup(dict(zip(group_by, names, strict=True)), figures(choices))
            for names, choices in sorted(groups.items())
        ],
        len(found),
        complete=len(found) < MOST_EXECUTIONS,
    )


def _choices(episode: Episode, group_by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Choice]]:
    """Yield what was chosen in an episode, once for each group that it belongs to."""
    predictors = sorted(episode.predictors) if "predictor" in group_by else [RUNTIME]
    strategies = sorted(episode.strategies) if "strategy" in group_by else [None]
    for predictor in predictors:
        for strategy in strategies:
            plan_id = episode.choice(predictor, strategy)
            if plan_id is None:
                continue
            values = {
                "strategy": strategy or "",
                "condition": episode.first.condition,
                "predictor": predictor,
                "model": episode.first.model,
                "device": episode.first.device_id,
                "soc": episode.first.soc,
            }
            names = tuple(values[name] for name in group_by)
            yield names, Choice(episode, plan_id, predictor, strategy)
