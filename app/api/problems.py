"""Every error leaves the service in one shape: `application/problem+json` (RFC 9457)."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import Fault, InvalidRequestError, MalformedBodyError, SocastError

log = structlog.get_logger(__name__)


class ProblemResponse(JSONResponse):
    """A problem as the contract words it."""

    media_type = "application/problem+json"


def problem_response(error: SocastError) -> ProblemResponse:
    """Return the answer for an error."""
    return ProblemResponse(error.problem(), status_code=error.status, headers=error.headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""

    @app.exception_handler(SocastError)
    async def expected(_request: Request, error: SocastError) -> ProblemResponse:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> ProblemResponse:
        details: list[dict[str, Any]] = list(error.errors())
        if any(detail["type"] == "json_invalid" for detail in details):
            return problem_response(MalformedBodyError("The body is not JSON."))
        return problem_response(InvalidRequestError(faults=tuple(map(_fault, details))))

    @app.exception_handler(HTTPException)
    async def routing(_request: Request, error: HTTPException) -> ProblemResponse:
        body = {
            "type": "about:blank",
            "title": str(error.detail),
            "status": error.status_code,
            "detail": str(error.detail),
        }
        return ProblemResponse(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> ProblemResponse:
        log.error("unexpected_error", method=request.method, path=request.url.path, exc_info=error)
        return problem_response(SocastError("An unexpected error; the server's log has the details."))


def _fault(detail: dict[str, Any]) -> Fault:
    """Turn one of pydantic's errors into a fault: body fields as pointers, others as `/query/name`."""
    place, *steps = detail["loc"]
    steps = steps if place == "body" else [place, *steps]
    pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return Fault(pointer, detail["msg"])
