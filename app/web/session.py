"""Signing in with a key, and out again. The session is a cookie that scripts cannot read."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.bodies import read_body
from app.auth import SESSION_COOKIE, Gate
from app.errors import SocastError, UnauthorizedError
from app.services.keys import Role
from app.web.rendering import page

router = APIRouter(include_in_schema=False)

MAX_FORM_BYTES = 16 * 1024
SESSION_S = 12 * 3600


@router.get("/sign-in")
async def get_sign_in(request: Request, next: Annotated[str, Query()] = "/") -> Response:
    """Show the form; an open server needs none."""
    if request.app.state.settings.open:
        return RedirectResponse(_own(next), status_code=303)
    return page(request, "sign_in.html", next=_own(next), fault="")


@router.post("/sign-in")
async def post_sign_in(request: Request) -> Response:
    """Check the key and keep it in the browser's session."""
    fields = await form(request)
    key, back = fields.get("key", "").strip(), _own(fields.get("next", "/"))
    gate: Gate = request.app.state.gate
    try:
        await gate.enter(f"Bearer {key}", frozenset({Role.ANALYST}))
    except SocastError as error:
        fault = "Enter a key." if not key and isinstance(error, UnauthorizedError) else error.detail
        return page(request, "sign_in.html", status=error.status, next=back, fault=fault)
    answer = RedirectResponse(back, status_code=303)
    answer.set_cookie(
        SESSION_COOKIE,
        key,
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
async def post_sign_out() -> Response:
    """End the session."""
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last value of each."""
    body = await read_body(request, max_body_bytes=MAX_FORM_BYTES, max_decoded_bytes=MAX_FORM_BYTES)
    text = body.decode("utf-8", errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _own(target: str) -> str:
    """Return an address of this service; anything that could lead elsewhere becomes the overview."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
