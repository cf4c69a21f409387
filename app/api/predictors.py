"""`/v1/predictors`: versions of predictors, and which one serves."""

from fastapi import APIRouter, Depends, Response

from app.api.dependencies import DatabaseDep
from app.auth import require
from app.schemas.predictors import PredictorVersionOut, PredictorVersions, ProfilerPriceOut
from app.services import predictors
from app.services.keys import Role
from app.services.times import moment
from app.store.versions import VersionInfo

router = APIRouter(
    prefix="/v1/predictors", tags=["predictors"], dependencies=[Depends(require(Role.ANALYST))]
)

ZIP = "application/zip"
ADMIN = [Depends(require(Role.ADMIN))]


@router.get("")
def get_predictors(database: DatabaseDep) -> PredictorVersions:
    """Answer all versions, newest first."""
    return PredictorVersions(items=list(map(_version, predictors.list_versions(database))))


@router.get("/{version_id}")
def get_predictor(version_id: int, database: DatabaseDep) -> PredictorVersionOut:
    """Answer one version."""
    return _version(predictors.get(database, version_id))


@router.get("/{version_id}/onnx", response_class=Response, responses={200: {"content": {ZIP: {}}}})
def get_onnx(version_id: int, database: DatabaseDep) -> Response:
    """Answer a version as a zip archive of two ONNX graphs and what they need beside them."""
    return Response(predictors.exported(database, version_id), media_type=ZIP)


@router.post("/{version_id}/pin", dependencies=ADMIN)
def post_pin(version_id: int, database: DatabaseDep) -> PredictorVersionOut:
    """Keep serving this version until another is pinned or it is rolled back."""
    return _version(predictors.pin(database, version_id))


@router.post("/{version_id}/rollback", dependencies=ADMIN)
def post_rollback(version_id: int, database: DatabaseDep) -> PredictorVersionOut:
    """Withdraw this version; answers the one that serves instead."""
    return _version(predictors.roll_back(database, version_id))


def _version(info: VersionInfo) -> PredictorVersionOut:
    reasons = predictors.thin_because(info)
    price = predictors.profiling_price(info)
    return PredictorVersionOut(
        id=info.id,
        soc=info.key.soc,
        processor=info.key.processor,
        framework=info.key.framework,
        digest=info.digest,
        reason=info.reason,
        metrics=dict(info.metrics),
        created_at=moment(info.created_at_us),
        serving=info.active,
        pinned=info.pinned,
        rolled_back=info.rolled_back,
        too_thin=bool(reasons),
        reasons=reasons,
        profiler_price=None if price is None else ProfilerPriceOut(**price),
    )
