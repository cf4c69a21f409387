"""Errors as pages: what went wrong and what to do next, in the frame of all pages."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.web.rendering import address, page

NEXT: dict[int, tuple[str, str]] = {
    403: ("/sign-in", "Sign in with another key"),
    404: ("/", "Go to the overview"),
}


def show_error(request: Request, problem: dict[str, Any]) -> Response | None:
    """Return a page for a browser that navigates, None for programs and for the API."""
    path = request.url.path
    if path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
        return None
    status = int(problem["status"])
    if status == 401:
        back = path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        return RedirectResponse(address("/sign-in", next=back + query), status_code=303)
    title = str(problem["title"])
    faults = [fault["detail"] for fault in problem.get("errors", ()) if fault["detail"] != problem["detail"]]
    link = NEXT.get(status, (path, "Open this page again"))
    return page(
        request,
        "error.html",
        status=status,
        title=title,
        detail=problem["detail"] if problem["detail"] != title else "",
        faults=faults,
        link=link,
    )
