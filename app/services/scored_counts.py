"""Counts of what was scored on processors, by model and operator type: one reading for many questions."""

from collections import defaultdict
from collections.abc import Collection
from functools import cached_property

from app.services.error_book import figures
from app.store import reports, scored
from app.store.engine import Connection
from app.store.names import ModelName
from predictors.forecast import Rung

Place = tuple[str, str]


class ScoredCounts:
    """Reads the statistics of some SoCs when first asked; places are (SoC, processor name)."""

    def __init__(self, connection: Connection, socs: Collection[str]) -> None:
        self._connection = connection
        self._socs = socs

    def models(self, soc: str, processor: str) -> dict[ModelName, int]:
        """Return how many runs of each model were scored."""
        return dict(self._models.get((soc, processor), {}))

    def op_types(self, soc: str, processor: str) -> dict[str, int]:
        """Return how many timings of each operator type were scored."""
        return self._op_types.get((soc, processor), {})

    def intervals(self, soc: str, processor: str) -> tuple[int, float | None, float | None]:
        """Return on how many runs the runtime interval was tried, how often it held, and how wide it was."""
        return self._intervals.get((soc, processor), (0, None, None))

    @cached_property
    def _models(self) -> dict[Place, dict[ModelName, int]]:
        found: dict[Place, dict[ModelName, int]] = defaultdict(dict)
        for soc, processor, model, n in scored.models(self._connection, self._socs):
            own = found[soc, processor]
            own[model] = own.get(model, 0) + n
        return found

    @cached_property
    def _op_types(self) -> dict[Place, dict[str, int]]:
        found: dict[Place, dict[str, int]] = defaultdict(dict)
        for soc, processor, op_type, n in scored.op_types(self._connection, self._socs):
            own = found[soc, processor]
            own[op_type] = own.get(op_type, 0) + n
        return found

    @cached_property
    def _intervals(self) -> dict[Place, tuple[int, float | None, float | None]]:
        found = {}
        for group in reports.query(self._connection, ("soc", "processor")):
            if group.level == "run" and group.rung == Rung.RUNTIME:
                own = figures(group.cell)
                soc, processor = group.values
                found[soc, processor] = (group.cell.n, own["coverage"], own["width"])
        return found
