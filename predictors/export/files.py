"""An exported version as files: two ONNX graphs and a JSON file beside them; no pickles."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from predictors.breaks import Breaks
from predictors.conformal import Calibration
from predictors.doubt import Grounds
from predictors.export.onnx_predictor import Exported
from predictors.operator_scatter import OperatorScatter
from predictors.run import PredictorKey

CALM, RUNTIME, BESIDE = "calm.onnx", "runtime.onnx", "predictor.json"


def to_files(exported: Exported) -> dict[str, bytes]:
    """Return the files' contents by name."""
    beside = {
        "key": asdict(exported.key),
        "predictor": exported.predictor,
        "reference": exported.reference,
        "trees_reference": exported.trees_reference,
        "levels": dict(exported.levels),
        "seen_types": sorted(exported.seen_types),
        "breaks": asdict(exported.breaks),
        "correction_gain": exported.correction_gain,
        "standard": list(exported.standard),
        "calibration": asdict(exported.calibration),
        "scatter": exported.scatter.to_json(),
        "grounds": exported.grounds.to_json(),
    }
    text = json.dumps(beside, indent=1, sort_keys=True).encode()
    return {CALM: exported.calm, RUNTIME: exported.runtime, BESIDE: text}


def from_files(files: Mapping[str, bytes]) -> Exported:
    """Return what `to_files` wrote; raise `KeyError` where a file is missing."""
    beside = json.loads(files[BESIDE])
    breaks = beside.pop("breaks")
    return Exported(
        calm=files[CALM],
        runtime=files[RUNTIME],
        key=PredictorKey(**beside.pop("key")),
        seen_types=frozenset(beside.pop("seen_types")),
        standard=tuple(beside.pop("standard")),
        breaks=Breaks(tuple(breaks["weights"]), breaks["scale"]),
        calibration=Calibration.from_json(beside.pop("calibration")),
        scatter=OperatorScatter.from_json(beside.pop("scatter")),
        grounds=Grounds.from_json(beside.pop("grounds")),
        **beside,
    )
