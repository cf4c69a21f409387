"""Choices are made here, so that the stream that is reported stays one that nobody tuned on.

The older stretch alone is cut into thirds at changes of condition: each third is predicted with the two
others as history, with different networks hidden. The same is then done in worlds that are changed on
purpose: another host's speed, another pace, no probes, no pauses, another order of episodes; and where
something changes for good that nothing read tells, as an update below the models does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from predictors.run import Run
from tests.accuracy.dynamic import UNSEEN, Stream, Traces, play

HIDDEN_SETS: tuple[tuple[str, ...], ...] = (
    UNSEEN,
    ("densenet121", "shufflenet", "bvlc_alexnet"),
    ("zfnet512", "ppocr_cls", "inception_v1"),
)
_PAUSE_US = 1_000_000
_LONGEST_PAUSE_US, _SHORT_PAUSE_US = 60_000, 5_000
_SCALED = ("probe_memory_us", "probe_compute_us", "idle_before_us")


def splits(traces: Traces) -> Iterator[tuple[str, Stream]]:
    """Play every third of the older stretch: all networks known, then a set of its own hidden."""
    for place, hidden in enumerate(HIDDEN_SETS):
        third = _third(traces, place)
        yield "all known", play(third, (), ())
        yield "three hidden", play(third, hidden, ())


def changed_worlds(traces: Traces) -> Iterator[tuple[str, Stream]]:
    """Play the last third, three networks hidden, in worlds that differ from the traced one."""
    for title, change in _CHANGES.items():
        third = _third(traces, 2)
        calibration, history, stream = (
            replace(trace, runs=change(trace.runs))
            for trace in (third.calibration, third.history, third.stream)
        )
        yield title, play(Traces(calibration, history, stream), UNSEEN, ())


def world_titles() -> tuple[str, ...]:
    """Return the titles of all worlds, the traced one first."""
    return tuple(_CHANGES)


def world(title: str) -> Callable[[Sequence[Run]], list[Run]]:
    """Return how runs are changed in a world."""
    return _CHANGES[title]


def lasting_changes(traces: Traces) -> Iterator[tuple[str, Stream]]:
    """Play the second and the last third, all networks known, where a third of the way something changes."""
    for title, factor in _LASTING.items():
        for place in (1, 2):
            third = _third(traces, place)
            runs = third.stream.runs
            cut = len(runs) // 3
            before = _Before(runs)
            later = [_slowed(run, factor(run, before)) for run in runs[cut:]]
            changed = replace(third.stream, runs=[*runs[:cut], *later])
            yield title, play(replace(third, stream=changed), (), ())


class _Before:
    """What some lasting changes are about: every third network, and the calm level of the memory probe."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.networks = set(sorted({run.query.model for run in runs})[::3])
        calm = [run.query.context["probe_memory_us"] for run in runs if run.query.condition == "s0"]
        self.probe_memory_us = float(np.median(calm))

    def pressure(self, run: Run) -> float:
        """Return by which factor the memory probe is slower than calm, at least 1."""
        return max(run.query.context["probe_memory_us"] / self.probe_memory_us, 1.0)


def _slowed(run: Run, factor: float) -> Run:
    return replace(run, total_us=run.total_us * factor, latency_us=run.latency_us * factor)


def _third(traces: Traces, place: int) -> Traces:
    """Return traces whose stream is one third of the older stretch, laid behind the two others."""
    thirds: list[list[Run]] = [[], [], []]
    count = 0
    for episode in episodes(traces.history.runs):
        thirds[min(3 * count // len(traces.history.runs), 2)].extend(episode)
        count += len(episode)
    stream = thirds.pop(place)
    history = [*thirds[0], *after(thirds[0], thirds[1])]
    return Traces(
        traces.calibration,
        replace(traces.history, runs=history),
        replace(traces.stream, runs=after(history, stream)),
    )


def episodes(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs by stretches of one condition."""
    found: list[list[Run]] = []
    for run in runs:
        if not found or found[-1][-1].query.condition != run.query.condition:
            found.append([])
        found[-1].append(run)
    return found


def after(first: Sequence[Run], second: Sequence[Run]) -> list[Run]:
    """Return the second runs moved in time to start a pause after the first ones."""
    return [_moved(run, first[-1].ended_at_us + _PAUSE_US - second[0].query.started_at_us) for run in second]


def _moved(run: Run, by_us: int) -> Run:
    return replace(run, query=replace(run.query, started_at_us=run.query.started_at_us + by_us))


def _speed(factor: float) -> Callable[[Sequence[Run]], list[Run]]:
    """Return another host: everything takes `factor` times as long, probes too."""

    def scaled(run: Run, start_us: int) -> Run:
        context = {
            name: value * factor if name in _SCALED else value for name, value in run.query.context.items()
        }
        started = start_us + int((run.query.started_at_us - start_us) * factor)
        query = replace(run.query, context=context, started_at_us=started)
        return replace(run, query=query, total_us=run.total_us * factor, latency_us=run.latency_us * factor)

    def change(runs: Sequence[Run]) -> list[Run]:
        return [scaled(run, runs[0].query.started_at_us) for run in runs]

    return change


def _sparse(runs: Sequence[Run]) -> list[Run]:
    """Return every second run: episodes half as long, pauses as long as the runs left out."""
    return list(runs[::2])


def _without_probes(runs: Sequence[Run]) -> list[Run]:
    return [
        replace(run, query=replace(run.query, context=_without(run.query.context, "probe_"))) for run in runs
    ]


def _without(context: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name: value for name, value in context.items() if not name.startswith(prefix)}


def _without_pauses(runs: Sequence[Run]) -> list[Run]:
    """Return the runs without the pause that comes with each change of condition in the traces."""
    made: list[Run] = []
    shift = 0
    for place, run in enumerate(runs):
        pause = run.query.started_at_us - runs[place - 1].ended_at_us if place else 0
        context = dict(run.query.context)
        if pause > _LONGEST_PAUSE_US:
            shift -= pause - _SHORT_PAUSE_US
            context["idle_before_us"] = float(_SHORT_PAUSE_US)
        made.append(replace(_moved(run, shift), query=replace(_moved(run, shift).query, context=context)))
    return made


def _shuffled(runs: Sequence[Run]) -> list[Run]:
    """Return the episodes in another order, each as far behind the one before as a pause."""
    stretches = episodes(runs)
    order = np.random.default_rng(5).permutation(len(stretches)).tolist()
    made = list(stretches[order[0]])
    for place in order[1:]:
        made += after(made, stretches[place])
    return made


_CHANGES: Mapping[str, Callable[[Sequence[Run]], list[Run]]] = {
    "as traced": list,
    "twice as fast a host": _speed(0.5),
    "three times as slow a host": _speed(3.0),
    "every second run": _sparse,
    "no probes": _without_probes,
    "no pauses at changes": _without_pauses,
    "episodes shuffled": _shuffled,
}

_LASTING: Mapping[str, Callable[[Run, _Before], float]] = {
    "some networks slower": lambda run, before: 1.5 if run.query.model in before.networks else 1.0,
    "memory costs more": lambda run, before: before.pressure(run) ** 0.8,
    "preemption costs more": lambda run, _: (
        1.8 if run.query.condition in {"s1", "s3", "s4"} and run.total_us > 4_000.0 else 1.0
    ),
    "profiler costs less": lambda run, _: 0.75 if run.query.profiled else 1.0,
    "long runs slower": lambda run, _: 1.5 if run.total_us > 20_000.0 else 1.0,
}
"""By which factor a run takes longer from the change on."""
