"""Which stage writes and reads which part of which tensor, and hence which stage waits for which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.errors import PlanError
from collectors.executor.ranges import Part
from collectors.executor.source import SourceModel
from collectors.executor.stage_model import Split, StageModel, cut_stage


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage as a plan states it."""

    id: int
    operators: tuple[str, ...]
    processor: str
    split: Split | None
    start_us: float
    model: int = 0
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WiredStage:
    """A stage with its model and the places of the stages whose results it reads."""

    planned: PlannedStage
    cut: StageModel
    reads_from: tuple[int, ...]


def read_stages(plan: Mapping[str, Any], models: int = 1) -> list[PlannedStage]:
    """Return the stages of a plan as `POST /v1/plan` answers it, in the order of their starts.

    Raises:
        PlanError: the plan changes a model, or is for more models than there are.

    """
    if plan.get("requires_retraining"):
        raise PlanError("this plan changes the model and requires retraining; there is nothing to execute")
    try:
        highest = max((int(stage["model"]) for stage in plan["stages"]), default=0)
        if highest >= models:
            raise PlanError(f"this plan is for {highest + 1} models, of which {models} were given")
        stages = [
            PlannedStage(
                id=int(stage["id"]),
                operators=tuple(stage["operators"]),
                processor=stage["processor"],
                split=_split(stage.get("split")),
                start_us=float(stage["start_us"]),
                model=int(stage["model"]),
                after=tuple(map(int, stage.get("after", ()))),
            )
            for stage in plan["stages"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"this is no plan as the service answers it: {error!r}") from error
    return sorted(stages, key=lambda stage: (stage.start_us, stage.id))


def _split(stated: Mapping[str, Any] | None) -> Split | None:
    if stated is None:
        return None
    low, high = stated["range"]
    return Split(stated["dimension"], float(low), float(high))


def wire(source: SourceModel, planned: Sequence[PlannedStage]) -> list[WiredStage]:
    """Cut the stages' models and find out who reads from whom; stages without any work are left out.

    Raises:
        PlanError: the plan is for another model, leaves work out, or splits what cannot be split.

    """
    members = _members(source, planned)
    cuts = []
    for stage, names in zip(planned, members, strict=True):
        outputs = [
            tensor
            for name in source.nodes
            if name in names
            for tensor in source.nodes[name].output
            if tensor
            and (
                tensor in source.graph.outputs
                or any(reader not in names for reader in source.readers.get(tensor, ()))
            )
        ]
        cuts.append(cut_stage(source, names, outputs, stage.split))
    kept = [place for place, cut in enumerate(cuts) if cut.outputs]
    stages = [(planned[place], cuts[place]) for place in kept]
    writers: dict[str, list[int]] = {}
    for place, (_, cut) in enumerate(stages):
        for tensor in cut.outputs:
            writers.setdefault(tensor, []).append(place)
    for tensor, places in writers.items():
        _check_whole(source, tensor, [stages[place][1].outputs[tensor] for place in places])
    return [WiredStage(stage, cut, _reads_from(source, stages, writers, cut)) for stage, cut in stages]


def _members(source: SourceModel, planned: Sequence[PlannedStage]) -> list[set[str]]:
    """Return the nodes of each stage; those that no kernel covers go along with what they read."""
    known = {node.name for node in source.graph.nodes}
    owners: dict[str, list[int]] = {}
    for place, stage in enumerate(planned):
        for name in stage.operators:
            if name not in known:
                raise PlanError(f"the model has no operator {name!r}: the plan is for another model")
            if name in source.nodes:
                owners.setdefault(name, []).append(place)
    for name, proto in source.nodes.items():
        if name not in owners:
            before = [owners[source.writer[tensor]] for tensor in proto.input if tensor in source.writer]
            owners[name] = before[0] if before else list(range(len(planned)))[:1]
    members: list[set[str]] = [set() for _ in planned]
    for name, places in owners.items():
        for place in places:
            members[place].add(name)
    return members


def _check_whole(source: SourceModel, tensor: str, parts: Sequence[Part | None]) -> None:
    if parts == [None]:
        return
    ranges = sorted((part.axis, part.start, part.stop) for part in parts if part is not None)
    axis = ranges[0][0] if ranges else 0
    edges = [0, *(stop for _, _, stop in ranges)]
    starts = [start for _, start, _ in ranges]
    if None in parts or starts != edges[:-1] or edges[-1] != source.shape(tensor)[axis]:
        raise PlanError(f"the plan's parts of tensor {tensor!r} do not add up to all of it")


def _reads_from(
    source: SourceModel,
    stages: Sequence[tuple[PlannedStage, StageModel]],
    writers: Mapping[str, Sequence[int]],
    cut: StageModel,
) -> tuple[int, ...]:
    places: set[int] = set()
    for tensor, needed in cut.inputs.items():
        if tensor in source.graph.inputs:
            continue
        if tensor not in writers:
            raise PlanError(f"no stage of the plan computes tensor {tensor!r}")
        for place in writers[tensor]:
            made = stages[place][1].outputs[tensor]
            if made is None or needed is None or overlap(made, needed):
                places.add(place)
    return tuple(sorted(places))


def overlap(one: Part, other: Part) -> bool:
    """Tell whether two parts of a tensor have an element in common."""
    return one.axis != other.axis or (one.start < other.stop and other.start < one.stop)
