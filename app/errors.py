"""The error tree: each class carries its HTTP status, and its docstring is its default message."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault inside a request: where it is (JSON pointer, RFC 6901) and what is wrong with it."""

    pointer: str
    detail: str


class SocastError(Exception):
    """Something went wrong inside socast."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        faults: tuple[Fault, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail if detail is not None else (type(self).__doc__ or self.title)
        self.faults = faults
        self.headers = headers or {}
        super().__init__(self.detail)

    def problem(self) -> dict[str, Any]:
        """Return the `application/problem+json` body (RFC 9457) of this error."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.faults:
            body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.faults]
        return body


class InvalidRequestError(SocastError):
    """The request does not follow the contract; see `errors` for each place."""

    status = 422
    title = "Invalid request"


class MalformedBodyError(SocastError):
    """The body could not be decoded; send UTF-8 JSON, optionally gzip or zstd compressed."""

    status = 400
    title = "Malformed body"


class UnauthorizedError(SocastError):
    """A key is needed: send `Authorization: Bearer <key>` (create one with `socast key create`)."""

    status = 401
    title = "Unauthorized"


class ForbiddenError(SocastError):
    """The key's role or device does not allow that."""

    status = 403
    title = "Forbidden"


class NotFoundError(SocastError):
    """There is nothing stored under that name."""

    status = 404
    title = "Not found"


class ConflictError(SocastError):
    """The request contradicts what is stored."""

    status = 409
    title = "Conflict"


class TooLargeError(SocastError):
    """The body is larger than this server accepts; send smaller batches."""

    status = 413
    title = "Too large"


class UnsupportedMediaError(SocastError):
    """That content type or encoding is not understood."""

    status = 415
    title = "Unsupported media type"


class TooManyRequestsError(SocastError):
    """The server is at its limit and nothing was written; send again after `Retry-After` seconds."""

    status = 429
    title = "Too many requests"


class UnavailableError(SocastError):
    """The service cannot answer right now; send again later."""

    status = 503
    title = "Unavailable"
