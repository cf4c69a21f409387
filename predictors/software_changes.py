"""Change points below the models of each key: what changed, and when a refit can answer it."""

from collections.abc import Iterable

from predictors.run import PredictorKey, RunQuery
from predictors.software import change
from predictors.version import PredictorVersion


class SoftwareChanges:
    """Versions met by each key, and the change that waits for `runs` new runs to be refitted on."""

    def __init__(self, versions: Iterable[PredictorVersion], runs: int) -> None:
        self._known = {version.key: version.software for version in versions}
        self._waiting: dict[PredictorKey, tuple[str, int]] = {}
        self._runs = runs

    def known(self, key: PredictorKey) -> tuple[str, ...]:
        """Return the versions that a key has met, newest last."""
        return self._known.get(key, ())

    def meet(self, query: RunQuery) -> str:
        """Take in the versions told with a run; return what changed, empty if nothing."""
        self._known[query.key], changed = change(self.known(query.key), query)
        return changed

    def wait(self, key: PredictorKey, changed: str) -> None:
        """Ask for a refit once enough runs came after a change."""
        self._waiting[key] = changed, self._runs

    def due(self, key: PredictorKey) -> str | None:
        """Count one run learned; return the change to refit for if it was the last one to wait for."""
        if key not in self._waiting:
            return None
        changed, left = self._waiting[key]
        self._waiting[key] = changed, left - 1
        return changed if left <= 1 else None

    def settle(self, key: PredictorKey) -> str:
        """Return the change that a refit made now answers, empty if none, and wait no longer."""
        return self._waiting.pop(key, ("", 0))[0]
