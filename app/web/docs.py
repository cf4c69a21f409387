"""`/docs`: the API by Swagger UI, served from here."""

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from app.web.rendering import page
from app.web.viewer import AnalystDep

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def get_docs(request: Request, _: AnalystDep) -> Response:
    """Show the API."""
    return page(request, "docs.html")


@router.get("/docs/openapi.json")
async def get_description(request: Request) -> Response:
    """Answer the description of the API in OpenAPI 3.0, which is what this Swagger UI reads."""
    return JSONResponse(_description(request.app))


@cache
def _description(service: FastAPI) -> dict[str, Any]:
    described: dict[str, Any] = _as_3_0(service.openapi())
    return {**described, "openapi": "3.0.3"}


def _as_3_0(part: Any) -> Any:  # noqa: ANN401
    """Rewrite what OpenAPI 3.1 (JSON Schema 2020-12) words differently from 3.0."""
    if isinstance(part, list):
        return [_as_3_0(item) for item in part]
    if not isinstance(part, dict):
        return part
    new = {name: _as_3_0(value) for name, value in part.items()}
    choices = new.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del new["anyOf"]
        new |= {"nullable": True, **(left[0] if len(left) == 1 else {"anyOf": left})}
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(new.get(bound), int | float) and not isinstance(new[bound], bool):
            new[limit], new[bound] = new[bound], True
    if "const" in new:
        new["enum"] = [new.pop("const")]
    if isinstance(new.get("prefixItems"), list):
        new["items"] = new.pop("prefixItems")[0]
    return new
