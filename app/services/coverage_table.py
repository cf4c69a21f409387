"""The coverage report as plain data: nested for JSON, one row an operator type of a model for files."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from app.services.coverage_parts import ModelCoverage, ProcessorCoverage
from app.services.coverage_report import CoverageFilter, CoverageService
from app.services.table_files import NUMBER, TEXT, TRUTH, WHOLE, TableFile

COLUMNS = {
    "soc": TEXT,
    "processor": TEXT,
    "framework": TEXT,
    "version": WHOLE,
    "trained_runs": WHOLE,
    "model": TEXT,
    "digest": TEXT,
    "runs": WHOLE,
    "calm_profile": TRUTH,
    "mapping": TEXT,
    "op_type": TEXT,
    "knowledge": TEXT,
    "operators": WHOLE,
    "samples": WHOLE,
    "time_share": NUMBER,
    "interval_n": WHOLE,
    "interval_coverage": NUMBER,
    "interval_width": NUMBER,
}


def as_json(item: ProcessorCoverage) -> dict[str, Any]:
    """Return a processor's coverage as the wire nests it."""
    version = None if item.serving is None else item.serving.version
    return {
        "soc": item.key.soc,
        "processor": item.key.processor,
        "framework": item.key.framework or None,
        "version": None if item.serving is None else item.serving.id,
        "predictor": None if version is None else version.digest,
        "trained_runs": 0 if version is None else version.trained_runs,
        "calm_runs": 0 if version is None else version.calm_runs,
        "calm_source": None if version is None else version.calm_source,
        "operators": item.operator_shares or None,
        "time": item.time_shares or None,
        "op_types": [asdict(own) for own in item.op_types],
        "models": [_model(own) for own in item.models],
        "intervals": asdict(item.intervals),
        "thin": [asdict(own) for own in item.thin],
        "profile_next": [asdict(own) for own in item.profile_next],
    }


def table(coverage: CoverageService, wanted: CoverageFilter) -> TableFile:
    """Return the whole report as a table of `COLUMNS`."""
    return TableFile(
        COLUMNS,
        ([row for item in page.processors for row in _rows(item)] for page in coverage.pages(wanted)),
    )


def _model(item: ModelCoverage) -> dict[str, Any]:
    return {
        "name": item.model.name,
        "digest": item.model.digest or None,
        "runs": item.runs,
        "calm_profile": item.calm_profile,
        "mapping": item.mapping,
        "operators": item.operator_shares or None,
        "time": item.time_shares or None,
        "op_types": [asdict(own) for own in item.op_types],
    }


def _rows(item: ProcessorCoverage) -> Iterator[dict[str, Any]]:
    own = {
        "soc": item.key.soc,
        "processor": item.key.processor,
        "framework": item.key.framework or None,
        "version": None if item.serving is None else item.serving.id,
        "trained_runs": 0 if item.serving is None else item.serving.version.trained_runs,
        "interval_n": item.intervals.n,
        "interval_coverage": item.intervals.coverage,
        "interval_width": item.intervals.width,
    }
    if not item.models:
        yield own
    for model in item.models:
        described = {
            "model": model.model.name,
            "digest": model.model.digest or None,
            "runs": model.runs,
            "calm_profile": model.calm_profile,
            "mapping": model.mapping,
        }
        for op_type in model.op_types or (None,):
            yield own | described | ({} if op_type is None else asdict(op_type))
