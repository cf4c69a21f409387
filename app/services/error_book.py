"""Book how wrong each rung was, as sums that can be merged, and read the report's figures from them.

The figures are those of `predictors.scores`; only the median comes from a sketch instead of all errors.
"""

import numpy as np

from app.store.learning import RecordedRun
from app.store.rollup_views import HOUR_US
from app.store.rollups import CellKey
from app.store.statistic import Cell
from predictors import scores
from predictors.evaluate import Scored
from predictors.forecast import RunForecast

Cells = dict[CellKey, Cell]


def book(cells: Cells, record: RecordedRun, scored: Scored) -> None:
    """Count one scored run on both levels, for every rung; `cells` makes missing cells itself."""
    for rung, forecast in scored.forecasts.items():
        key = CellKey(
            hour=scored.query.started_at_us // HOUR_US,
            processor_id=record.processor_id,
            condition=scored.query.condition or "",
            model_id=record.model_id,
            op_type="",
            rung=rung.value,
            level="run",
            predictor=scored.predictor,
        )
        terms = scores.run_terms(scored.run.total_us, forecast.total)
        cells[key].add(np.array([terms["ape"]]), terms)
        if len(scored.run.latency_us):
            _book_operators(cells, key, scored, forecast)


def figures(cell: Cell) -> dict[str, float | int | None]:
    """Return a cell's figures, all fractions; None where nothing was counted."""
    return scores.figures(cell.n, cell.sums, cell.sketch.get_quantile(0.5))


def _book_operators(cells: Cells, run_key: CellKey, scored: Scored, forecast: RunForecast) -> None:
    """Count a run's operators by type; versions come and go too fast to tell apart on this level."""
    if len(forecast.operators_us) != len(scored.run.latency_us):
        return
    terms = scores.operator_terms(scored.run.latency_us, forecast)
    types, codes = np.unique([operator.op_type for operator in scored.query.operators], return_inverse=True)
    sums = {name: np.bincount(codes, values, len(types)) for name, values in terms.items()}
    for code, op_type in enumerate(types.tolist()):
        key = run_key._replace(op_type=op_type, level="operator", predictor="")
        cells[key].add(
            terms["ape"][codes == code], {name: float(values[code]) for name, values in sums.items()}
        )
