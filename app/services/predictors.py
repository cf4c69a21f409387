"""Versions of predictors: look at them, pin one, take one back."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import ConflictError, NotFoundError
from app.store import journal, scored, versions
from app.store.engine import Connection, Database
from app.store.journal import Kind
from app.store.versions import VersionInfo
from predictors.context_features import NAMES
from predictors.forecast import Rung
from predictors.run import PredictorKey
from predictors.thinness import few_runs
from predictors.version import PredictorVersion


def list_versions(database: Database) -> list[VersionInfo]:
    """Return all versions, newest first."""
    with database.read() as connection:
        return versions.list_versions(connection)


def get(database: Database, version_id: int) -> VersionInfo:
    """Return one version; raise `NotFoundError`."""
    with database.read() as connection:
        return versions.get(connection, version_id)


def exported(database: Database, version_id: int) -> bytes:
    """Return a version as a zip archive of two ONNX graphs and a JSON file; raise `NotFoundError`.

    Raises `ConflictError` for a version that another release wrote.
    """
    with database.read() as connection:
        content = versions.content(connection, version_id)
    try:
        version = PredictorVersion.from_bytes(content)
    except ValueError as error:
        raise ConflictError(f"Version {version_id} cannot be exported: {error}.") from error
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        # Converting trees loads LightGBM, scikit-learn and ONNX Runtime: a second that only this needs.
        from predictors.export.exporting import export_version
        from predictors.export.files import to_files

        for name, data in to_files(export_version(version)).items():
            file.writestr(zipfile.ZipInfo(name), data)
    return archive.getvalue()


def revision(database: Database, key: PredictorKey) -> int:
    """Return what changes whenever somebody pins or withdraws a version of a key."""
    with database.read() as connection:
        return versions.revision(connection, key)


def pin(database: Database, version_id: int, *, expected: int | None = None) -> VersionInfo:
    """Make a version serve until another is pinned or it is rolled back; raise `NotFoundError`.

    With `expected`, raises `ConflictError` unless that is still the revision of the version's key.
    """
    with database.write() as connection:
        _unchanged(connection, version_id, expected)
        versions.pin(connection, version_id)
        info = versions.get(connection, version_id)
        journal.changed_by_hand(connection, Kind.PIN, info.key, info.id, info.digest)
        return info


def roll_back(database: Database, version_id: int, *, expected: int | None = None) -> VersionInfo:
    """Withdraw a version; return the one that serves instead. Raise `NotFoundError`, `ConflictError`.

    `expected` as for `pin`.
    """
    with database.write() as connection:
        _unchanged(connection, version_id, expected)
        instead = versions.roll_back(connection, version_id)
        info = versions.get(connection, version_id)
        journal.changed_by_hand(connection, Kind.ROLLBACK, info.key, info.id, info.digest)
        return instead


def served(database: Database, digests: Sequence[str]) -> dict[str, dict[str, tuple[int, float]]]:
    """Return by rung and version how many runs it predicted, and their mean absolute percentage error.

    The rungs are the offline profile's and the runtime predictor's.
    """
    with database.read() as connection:
        return {
            rung.value: scored.versions(connection, digests, rung.value) for rung in (Rung.CALM, Rung.RUNTIME)
        }


def importances(database: Database, version_id: int) -> list[tuple[str, float]]:
    """Return what the runtime model of a version looks at, as shares of the gain, the largest first.

    Empty where it has no trees yet, or where its bytes are discarded.
    """
    with database.read() as connection:
        try:
            version = PredictorVersion.from_bytes(versions.content(connection, version_id))
        except (NotFoundError, ValueError):
            return []
    if version.runtime.median is None:
        return []
    gains = version.runtime.median.gains()
    whole = max(float(gains.sum()), 1e-12)
    named = zip(NAMES, (gains / whole).tolist(), strict=False)
    return sorted(((name, share) for name, share in named if share > 0), key=lambda item: -item[1])


def thin_because(info: VersionInfo) -> list[str]:
    """Return why a version is too thin to rely on for any network (`predictors.thinness`); mostly nothing."""
    calm_runs, trained_runs = info.metrics.get("calm_runs"), info.metrics.get("trained_runs")
    if calm_runs is None or trained_runs is None:
        return []
    found = [
        few_runs(rung, calm_runs=calm_runs, trained_runs=trained_runs) for rung in (Rung.CALM, Rung.RUNTIME)
    ]
    return [because for because in found if because is not None]


def profiling_price(info: VersionInfo) -> Mapping[str, Any] | None:
    """Return what profiling costs there (`predictors.profiler_price`); None where that is not known.

    Versions of earlier releases said less of it: nothing is told of those.
    """
    price = info.metrics.get("profiler_price")
    return price if price and "share_of_run" in price else None


def _unchanged(connection: Connection, version_id: int, expected: int | None) -> None:
    if expected is None:
        return
    key = versions.get(connection, version_id).key
    if versions.revision(connection, key, hold=True) != expected:
        raise ConflictError(
            f"Somebody else changed which version of {key} serves since this page was loaded. "
            "Nothing was changed now: look at the versions again, then decide."
        )
