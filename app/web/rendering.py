"""HTML from templates; everything that is not marked as HTML is escaped."""

from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import json

from app.services.keys import Principal, Role
from app.web import assets, formatting

NAVIGATION = (
    ("/", "Overview"),
    ("/errors", "Errors"),
    ("/plans", "Plans"),
    ("/predictors", "Predictors"),
    ("/devices", "Devices"),
    ("/models", "Models"),
    ("/docs", "API"),
)


def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return a page: a template with the frame around it (navigation, who is signed in)."""
    principal: Principal | None = getattr(request.state, "principal", None)
    here = request.url.path
    frame = {
        "navigation": [(address, text, _is_here(here, address)) for address, text in NAVIGATION],
        "keys_on": not request.app.state.settings.open,
        "principal": principal,
        "may_change": principal is not None and principal.role is Role.ADMIN,
    }
    text = _environment.get_template(template).render({**frame, **values})
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def json_block(value: object) -> Markup:
    """Return JSON to stand inside a `script` element: nothing in it can end the element or open a comment."""
    text = json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def address(path: str, /, *parts: str, **query: object) -> str:
    """Return an address with its path parts and query escaped; what is empty or None is left out."""
    whole = path + "".join("/" + quote(part, safe="") for part in parts)
    wanted = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{whole}?{urlencode(wanted, doseq=True)}" if wanted else whole


def _is_here(here: str, there: str) -> bool:
    return here == there or (there != "/" and here.startswith(there + "/"))


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    {
        name: getattr(formatting, name)
        for name in (
            *("count", "percent", "latency", "size", "factor", "quantity", "large"),
            *("moment", "iso", "short"),
        )
    }
)
_environment.globals.update(
    asset=assets.url, json_block=json_block, address=address, dict=dict, is_number=formatting.is_number
)
