"""From a predictor version to its exported form."""

from predictors.correction import WIDTH
from predictors.export.calm import calm_graph
from predictors.export.onnx_predictor import Exported
from predictors.export.runtime import runtime_graph
from predictors.forecast import Rung
from predictors.operator_scatter import DEFAULT_SCATTER
from predictors.version import PredictorVersion


def export_version(version: PredictorVersion) -> Exported:
    """Return the version's calm model and runtime rung as ONNX graphs with all that they need beside them."""
    return Exported(
        key=version.key,
        predictor=version.digest,
        calm=calm_graph(version.calm, WIDTH),
        runtime=runtime_graph(version),
        reference=version.calm.reference,
        trees_reference=version.trees_reference,
        levels=dict(version.levels),
        seen_types=version.calm.operators.seen_types,
        breaks=version.breaks,
        correction_gain=version.correction_gain,
        standard=version.standard,
        calibration=version.calibration,
        scatter=version.scatters.get(Rung.RUNTIME, DEFAULT_SCATTER),
        grounds=version.grounds,
    )
