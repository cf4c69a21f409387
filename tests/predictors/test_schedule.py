from itertools import pairwise

from predictors.schedule import APPENDED, DRIFT, ENOUGH, Agenda, Schedule


def due(agenda: Agenda, runs: int) -> list[tuple[int, str]]:
    """Count runs, answering every fit that is due; return after which runs, and why."""
    found = []
    for run in range(1, runs + 1):
        agenda.count(calm=False)
        if (reason := agenda.due) is not None:
            found.append((run, reason))
            (agenda.tried if reason == APPENDED else agenda.rebuilt)()
    return found


def test_rebuilds_grow_rarer_and_trees_are_appended_between() -> None:
    found = due(Agenda(Schedule()), 1_600)
    rebuilds = [run for run, reason in found if reason == ENOUGH]
    gaps = [later - run for run, later in pairwise(rebuilds)]
    assert rebuilds[:2] == [10, 20]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 300
    appended = [run for run, reason in found if reason == APPENDED]
    assert all(run > 240 for run in appended)
    assert [run - rebuilds[-2] for run in appended if rebuilds[-2] < run < rebuilds[-1]] == [
        60 * step for step in range(1, 5)
    ]


def test_a_drift_is_due_at_once_but_waits_for_some_runs() -> None:
    agenda = Agenda(Schedule())
    due(agenda, 1_000)
    agenda.rebuilt()
    agenda.drifted = True
    assert due(agenda, 30) == [(10, DRIFT)]


def test_what_was_not_worth_appending_delays_no_drift() -> None:
    agenda = Agenda(Schedule())
    due(agenda, 1_000)
    agenda.rebuilt()
    assert due(agenda, 60) == [(60, APPENDED)]
    agenda.drifted = True
    assert due(agenda, 1) == [(1, DRIFT)]


def test_calm_runs_alone_make_no_fit_due() -> None:
    agenda = Agenda(Schedule())
    for _ in range(500):
        agenda.count(calm=True)
    assert agenda.due is None
