import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from predictors import fusion
from predictors.fusion import KernelGraph
from predictors.graph import Operator
from predictors.onnx_reader import read
from predictors.topology import topological_order
from tests.onnx_models import light
from tests.traces import trace


def assert_sound(before: KernelGraph, after: KernelGraph, reported: Sequence[Operator]) -> None:
    """The result runs what was reported, in that order, and still covers the model."""
    assert list(after.operators) == list(reported)
    covered = Counter([name for names in after.covers for name in names] + list(after.folded))
    assert covered == Counter([name for names in before.covers for name in names] + list(before.folded))
    for index, earlier in enumerate(after.graph.predecessors):
        assert all(other < index for other in earlier)
    written = {name for node in after.graph.nodes for name in node.outputs}
    assert set(before.graph.outputs) <= written


def reordered(kernels: KernelGraph) -> list[Operator]:
    """The kernels in another valid order, as a framework's own scheduler may choose."""
    flipped = list(range(len(kernels.graph.nodes)))[::-1]
    place = {index: position for position, index in enumerate(flipped)}
    before = [{place[other] for other in kernels.graph.predecessors[index]} for index in flipped]
    order = topological_order(before)
    assert order is not None
    return [kernels.operators[flipped[position]] for position in order]


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "densenet121"])
def test_another_order_is_confirmed(name: str) -> None:
    graph = read(light(name))
    kernels = fusion.kernels(graph)
    reported = reordered(kernels)
    result = fusion.fitted(graph, "onnxruntime 1.31.1", reported)
    assert result.mapping == "onnxruntime/nchwc16 confirmed by reports"
    assert_sound(kernels, result, reported)


def test_the_variant_that_ran_is_found() -> None:
    graph = read(light("squeezenet"))
    kernels = fusion.kernels(graph, "onnxruntime", "onnxruntime/plain")
    result = fusion.fitted(graph, "onnxruntime", list(kernels.operators))
    assert result.mapping == "onnxruntime/plain confirmed by reports"


def test_unknown_fusions_are_taken_over() -> None:
    """The framework merged two kernels into one that the rules do not know."""
    kernels = fusion.kernels(read(light("squeezenet")))
    operators = list(kernels.operators)
    merged = replace(operators[11], op_type="ConvPool", outputs=operators[12].outputs)
    reported = [*operators[:11], merged, *operators[13:]]
    result = fusion.reconcile(kernels, reported)
    assert result.mapping.endswith("corrected by reports")
    assert_sound(kernels, result, reported)


def test_unknown_kernels_are_inserted_and_missing_ones_absorbed() -> None:
    kernels = fusion.kernels(read(light("resnet50")))
    operators = list(kernels.operators)
    extra = Operator("Reorder", ((1, 64, 56, 56),), ((1, 64, 56, 56),))
    reported = [operators[0], extra, *operators[1:20], *operators[21:]]
    result = fusion.reconcile(kernels, reported)
    assert_sound(kernels, result, reported)


def test_a_report_of_another_model_changes_nothing_but_names() -> None:
    kernels = fusion.kernels(read(light("squeezenet")))
    alien = [Operator("Alien", ((1,),), ((1,),)), Operator("Other", ((2,),), ((2,),))]
    assert_sound(kernels, fusion.reconcile(kernels, alien), alien)


def test_nothing_reported_leaves_the_mapping() -> None:
    kernels = fusion.kernels(read(light("squeezenet")))
    assert fusion.reconcile(kernels, []) == kernels


def test_kernels_reported_in_the_traces_are_confirmed() -> None:
    """What a real agent reported for a light model is what the rules say, attributes included."""
    digests = {
        read(light(name)).digest: name for name in ("squeezenet", "resnet50", "shufflenet", "inception_v1")
    }
    seen: dict[str, list[Operator]] = {}
    with gzip.open(trace("dev-calibration.ndjson.gz")) as lines:
        batches = [json.loads(line) for line in lines]
    for batch in batches:
        table = [Operator.from_json(item) for item in batch["operators"]]
        for run in batch["runs"]:
            digest = run["model"].get("digest")
            if digest in digests and run["operators"]:
                seen.setdefault(digest, [table[index] for index in run["operators"]])
    assert seen
    for digest, reported in seen.items():
        graph = read(light(digests[digest]))
        result = fusion.fitted(graph, "onnxruntime", reported)
        assert result.mapping.endswith("confirmed by reports"), digests[digest]
        assert_sound(fusion.kernels(graph), result, reported)
