"""The service's answers as pandas tables, for notebooks and scripts."""

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from collectors.client import Client, Json

if TYPE_CHECKING:
    from pandas import DataFrame

PAGE = 1000


class Frames:
    """Asks one service through a client; every method returns a table and raises what the client raises.

    Times are UTC timestamps, latencies microseconds, ratios fractions.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def devices(self) -> "DataFrame":
        """Return one row a device; its newest context in columns `context.…`."""
        return _table(self._pages("devices", {}), times=["last_seen"])

    def runs(self, most: int = 10_000, **filters: str) -> "DataFrame":
        """Return the newest runs that pass the filters, one row each; contexts in columns `context.…`."""
        return _table(self._pages("runs", filters, most), times=["started_at"])

    def timings(self, most_runs: int = 1_000, **filters: str) -> "DataFrame":
        """Return one row an operator of the newest runs, with what it ran in."""
        rows = [
            {
                "run_id": run["run_id"],
                "started_at": run["started_at"],
                "device_id": run["device_id"],
                "processor": run["processor"],
                "model": run["model"]["name"],
                "condition": run["condition"],
                "position": position,
                "op_type": operator["op_type"],
                "outputs": operator["outputs"],
                "latency_us": latency_us,
                "ran_on": ran_on,
            }
            for run in self._pages("runs", {**filters, "include": "timings"}, most_runs)
            for position, (operator, latency_us, ran_on) in enumerate(
                zip(run["operators"], run["latency_us"], run["ran_on"], strict=True)
            )
        ]
        return _table(rows, times=["started_at"])

    def report(self, name: str, **parameters: str) -> "DataFrame":
        """Return a report (`errors`, `drift`, `coverage`, `regret`), one row a group, level and rung."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self._client.report_file(name, "parquet", **parameters)))

    def prediction(self, request: Mapping[str, Any]) -> "DataFrame":
        """Return one row an operator of the answer, predicted offline and at runtime."""
        answer = self._client.predictions(request)
        offline, runtime = answer["offline"]["operators"], answer["runtime"]["operators"]
        return _table(
            {
                "op_type": calm["op_type"],
                "offline_us": calm["latency_us"],
                "runtime_us": now["latency_us"],
            }
            for calm, now in zip(offline, runtime, strict=True)
        )

    def plans(self, request: Mapping[str, Any]) -> "DataFrame":
        """Return one row a plan, best first, without its stages."""
        plans = self._client.plan(request)["plans"]
        return _table({name: value for name, value in plan.items() if name != "stages"} for plan in plans)

    def _pages(self, path: str, filters: Mapping[str, str], most: int | None = None) -> Iterator[Json]:
        ask = {"devices": self._client.devices, "runs": self._client.runs}[path]
        cursor: dict[str, str] = {}
        left = most
        while left is None or left > 0:
            page = ask(**filters, **cursor, limit=PAGE if left is None else min(left, PAGE))
            yield from page["items"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}
            left = None if left is None else left - len(page["items"])


def _table(rows: Any, times: list[str] | None = None) -> "DataFrame":  # noqa: ANN401
    import pandas as pd

    table = pd.json_normalize(list(rows))
    for name in times or ():
        if name in table:
            table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601")
    return table
