"""What an executed plan shows: hand-overs between stages, and what each took beside which others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.planning.lanes import Interval, Lanes
from app.planning.transfer_costs import HandOver


@dataclass(frozen=True, slots=True)
class Planned:
    """What was expected of a stage.

    `compute_us` is its kernels' latency alone, without dispatch, copies or contention; `moved_bytes` what
    they move through memory; `reads` the bytes that it fetches, by the processor that wrote them; `after`
    the stages that it waits for.
    """

    processor: str
    compute_us: float
    moved_bytes: float
    reads: Mapping[str, float]
    after: Sequence[int]


@dataclass(frozen=True, slots=True)
class Executed:
    """When a stage ran, in microseconds after the start; how long its processor had stood idle, if told."""

    id: int
    start_us: float
    end_us: float
    waited_us: float | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What ran on another processor during a stage: for which share of it, at which bytes a microsecond."""

    share: float
    demand: float


@dataclass(frozen=True, slots=True)
class StageObservation:
    """One executed stage: what it was expected to take alone, what it took, and what went on meanwhile.

    `measured_us` includes what its processor spent between two of its stages. `beside` holds, for each
    other processor, what ran there; `demand` there is a mean over the stage.
    """

    processor: str
    expected_us: float
    measured_us: float
    moved_bytes: float
    received_bytes: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, Beside] = field(default_factory=dict)


def observe(
    planned: Mapping[int, Planned], executed: Sequence[Executed], scale: Mapping[str, float]
) -> tuple[list[HandOver], list[StageObservation]]:
    """Return what one execution shows.

    `scale` multiplies each processor's expected latencies: what the context had changed since the plan was
    stored. Stages that the plan does not have are left out.
    """
    ran = {item.id: item for item in executed if item.id in planned}
    hand_overs: list[HandOver] = []
    observations: list[StageObservation] = []
    last_end: dict[str, float] = {}
    intervals = {
        item.id: Interval(planned[item.id].processor, item.start_us, item.end_us, item.id)
        for item in ran.values()
    }
    lanes = Lanes(intervals.values())
    for item in sorted(ran.values(), key=lambda item: (item.start_us, item.end_us)):
        stage = planned[item.id]
        idle_from = last_end.get(stage.processor)
        last_end[stage.processor] = item.end_us
        waited_for = _waited_for(item, stage, planned, ran, idle_from)
        begin_us = item.start_us
        if waited_for is not None:
            source = planned[waited_for.id].processor
            gap_us = item.start_us - waited_for.end_us
            if gap_us >= 0:
                hand_overs.append(HandOver(source, stage.processor, stage.reads[source], gap_us))
        elif idle_from is not None and idle_from <= item.start_us:
            # Nobody kept it waiting: what lies between two stages is the cost of starting the second one.
            begin_us = idle_from
        expected_us = stage.compute_us * scale.get(stage.processor, 1.0)
        if expected_us > 0:
            observations.append(
                StageObservation(
                    processor=stage.processor,
                    expected_us=expected_us,
                    measured_us=item.end_us - begin_us,
                    moved_bytes=stage.moved_bytes,
                    received_bytes=stage.reads,
                    beside=_beside(intervals[item.id], lanes, planned),
                )
            )
    return hand_overs, observations


def _waited_for(
    item: Executed,
    stage: Planned,
    planned: Mapping[int, Planned],
    ran: Mapping[int, Executed],
    idle_from: float | None,
) -> Executed | None:
    """Return the stage of another processor whose end was the last thing that this one waited for."""
    writers = [
        ran[place]
        for place in stage.after
        if place in ran
        and planned[place].processor != stage.processor
        and stage.reads.get(planned[place].processor, 0.0) > 0
    ]
    if not writers:
        return None
    last = max(writers, key=lambda writer: writer.end_us)
    ready_us = item.start_us - item.waited_us if item.waited_us is not None else (idle_from or 0.0)
    return last if last.end_us > ready_us else None


def _beside(item: Interval[str], lanes: Lanes[str], planned: Mapping[int, Planned]) -> dict[str, Beside]:
    """Return what other processors ran during a stage."""
    length = item.end_us - item.start_us
    shares: dict[str, float] = {}
    moved: dict[str, float] = {}
    for other, overlap_us in lanes.beside(item):
        rate = planned[other.place].moved_bytes / max(other.end_us - other.start_us, 1e-9)
        shares[other.processor] = shares.get(other.processor, 0.0) + overlap_us / length
        moved[other.processor] = moved.get(other.processor, 0.0) + rate * overlap_us / length
    return {name: Beside(min(share, 1.0), moved[name]) for name, share in shares.items()}
