"""Every error leaves the service in one shape: `application/problem+json` (RFC 9457)."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import Fault, InvalidRequestError, MalformedBodyError, SocastError

log = structlog.get_logger(__name__)

Show = Callable[[Request, dict[str, Any]], Response | None]
"""Turns a problem into a page where a person asked for one, else None."""


class ProblemResponse(JSONResponse):
    """A problem as the contract words it."""

    media_type = "application/problem+json"


def problem_response(error: SocastError) -> ProblemResponse:
    """Return the answer for an error."""
    return ProblemResponse(error.problem(), status_code=error.status, headers=error.headers)


def install(app: FastAPI, show: Show) -> None:
    """Make `app` answer every error as a problem, or as `show` has it for a browser."""

    @app.exception_handler(SocastError)
    async def expected(request: Request, error: SocastError) -> Response:
        return answer(request, error.problem(), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        details: list[dict[str, Any]] = list(error.errors())
        if any(detail["type"] == "json_invalid" for detail in details):
            return answer(request, MalformedBodyError("The body is not JSON.").problem())
        return answer(request, InvalidRequestError(faults=tuple(map(_fault, details))).problem())

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        body = {
            "type": "about:blank",
            "title": str(error.detail),
            "status": error.status_code,
            "detail": str(error.detail),
        }
        return answer(request, body, error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected_error", method=request.method, path=request.url.path, exc_info=error)
        problem = SocastError("An unexpected error; the server's log has the details.").problem()
        return answer(request, problem)

    def answer(
        request: Request, problem: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Response:
        shown = show(request, problem)
        return shown or ProblemResponse(problem, status_code=problem["status"], headers=headers)


def _fault(detail: dict[str, Any]) -> Fault:
    """Turn one of pydantic's errors into a fault: body fields as pointers, others as `/query/name`."""
    place, *steps = detail["loc"]
    steps = steps if place == "body" else [place, *steps]
    pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return Fault(pointer, detail["msg"])
