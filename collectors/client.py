"""A small typed client of the service's HTTP interface, for the agent, the command line and scripts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import httpx
import msgspec

from collectors.errors import CollectorError

TIMEOUT_S = 30.0
Json = dict[str, Any]
T = TypeVar("T")


class ServiceError(CollectorError):
    """The service did not do what was asked."""


class UnreachableError(ServiceError):
    """No answer came: the network, the address or the service is down."""


class RefusedError(ServiceError):
    """The service answered with an error.

    `problem` is the body (RFC 9457) as far as it was one; `retry_after_s` the server's own wish, if stated.
    """

    def __init__(self, status: int, problem: Json, retry_after_s: float | None = None) -> None:
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s
        faults = "".join(
            f"; {fault.get('pointer')}: {fault.get('detail')}" for fault in problem.get("errors", [])
        )
        super().__init__(f"{problem.get('title', 'error')} ({status}): {problem.get('detail', '')}{faults}")


class Rejection(msgspec.Struct, frozen=True):
    """A record that the service will not take: a JSON pointer into the batch, and why."""

    pointer: str
    detail: str


class Receipt(msgspec.Struct, frozen=True):
    """What became of a batch: counts of `runs`, `timings` and `transfers`."""

    batch_id: str
    accepted: dict[str, int]
    duplicates: dict[str, int] = {}
    rejected: list[Rejection] = []


class Client:
    """Speaks to one service. Every method raises `UnreachableError` or `RefusedError`."""

    def __init__(
        self, server: str, key: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=server, headers=headers, timeout=TIMEOUT_S, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def upload(self, batch: bytes, encoding: str | None = "gzip") -> Receipt:
        """Post one measurement batch, encoded as stated (`gzip`, `zstd`, or none)."""
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": encoding} if encoding else {})
        response = self._send("POST", "/v1/measurements", content=batch, headers=headers)
        return self._decode(response, Receipt)

    def register_model(self, path: Path) -> Json:
        """Post a model file; returns its digest and operator graph with costs."""
        with path.open("rb") as file:
            return self._json("POST", "/v1/models", content=file, params={"name": path.stem})

    def model(self, digest: str) -> Json:
        """Return a registered model's operator graph."""
        return self._json("GET", f"/v1/models/{digest}")

    def predictions(self, request: Mapping[str, Any]) -> Json:
        """Predict latencies of a model or of operators in a context."""
        return self._json("POST", "/v1/predictions", json=request)

    def plan(self, request: Mapping[str, Any]) -> Json:
        """Ask for ranked partition plans."""
        return self._json("POST", "/v1/plan", json=request)

    def gate(self, request: Mapping[str, Any]) -> Json:
        """Ask whether a model holds its latency limits."""
        return self._json("POST", "/v1/gate", json=request)

    def post_outcomes(self, plan_id: str, outcomes: Sequence[Mapping[str, Any]]) -> Json:
        """Report how executed plans went."""
        return self._json("POST", f"/v1/plans/{plan_id}/outcomes", json={"outcomes": list(outcomes)})

    def devices(self, **filters: str | int) -> Json:
        """List devices with counts of what is stored."""
        return self._json("GET", "/v1/devices", params=filters)

    def runs(self, **filters: str | int) -> Json:
        """List runs, newest first."""
        return self._json("GET", "/v1/runs", params=filters)

    def predictors(self) -> Json:
        """List predictors and their versions."""
        return self._json("GET", "/v1/predictors")

    def predictor(self, version: int) -> Json:
        """Return one version of a predictor."""
        return self._json("GET", f"/v1/predictors/{version}")

    def predictor_onnx(self, version: int) -> bytes:
        """Return one version as a zip archive of ONNX graphs."""
        return self._send("GET", f"/v1/predictors/{version}/onnx").content

    def pin_predictor(self, version: int) -> Json:
        """Keep a predictor at a version."""
        return self._json("POST", f"/v1/predictors/{version}/pin")

    def roll_back_predictor(self, version: int) -> Json:
        """Withdraw a version; returns the one that serves instead."""
        return self._json("POST", f"/v1/predictors/{version}/rollback")

    def report(self, name: str, **parameters: str) -> Json:
        """Return a report (`errors`, `drift`, `misses`, `regret`, `coverage`) as JSON."""
        return self._json("GET", f"/v1/reports/{name}", params=parameters)

    def report_file(self, name: str, format: str, **parameters: str) -> bytes:
        """Return a report as the bytes of a `csv` or `parquet` file."""
        return self._send("GET", f"/v1/reports/{name}", params={**parameters, "format": format}).content

    def is_ready(self) -> bool:
        """Tell whether the service accepts measurements now."""
        try:
            self._send("GET", "/readyz")
        except ServiceError:
            return False
        return True

    def _json(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        content: bytes | IO[bytes] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Json:
        response = self._send(method, path, json=json, content=content, params=params)
        return self._decode(response, Json)

    def _decode(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            server = self._http.base_url
            raise UnreachableError(f"{server} does not answer like a socast service: {error}") from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        content: bytes | IO[bytes] | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method, path, json=json, content=content, params=params, headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"{self._http.base_url} cannot be reached: {reason}") from error
        if response.is_success:
            return response
        raise RefusedError(response.status_code, _problem(response), _retry_after_s(response))


def _problem(response: httpx.Response) -> Json:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"title": response.reason_phrase or "error", "detail": response.text[:200]}


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
