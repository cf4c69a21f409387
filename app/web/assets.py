"""Static files: named by their content, compressed beforehand, kept by browsers for a year."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import zstandard
from fastapi import APIRouter, Request, Response
from msgspec import json
from starlette.concurrency import run_in_threadpool
from swagger_ui_bundle import swagger_ui_path

from app.errors import NotFoundError
from app.web import vega
from app.web.theme import theme

STATIC = Path(__file__).parent / "static"
VEGA = "vega.js"
SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")

YEAR_S = 365 * 24 * 3600

MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file in the encodings that browsers ask for."""

    media_type: str
    plain: bytes
    gzip: bytes
    zstd: bytes


@router.get("/static/{digest}/{name}")
async def get_static(digest: str, name: str, request: Request) -> Response:
    """Answer a static file; its address changes with its content, so it never goes stale."""
    if name not in _sources() or digest != _digest():
        raise NotFoundError(f"There is no file {name!r} of that version; reload the page.")
    found = await run_in_threadpool(_asset, name)
    accepted = request.headers.get("accept-encoding", "")
    headers = {"Cache-Control": f"public, max-age={YEAR_S}, immutable", "Vary": "Accept-Encoding"}
    for encoding, body in (("zstd", found.zstd), ("gzip", found.gzip)):
        if encoding in accepted:
            return Response(
                body, media_type=found.media_type, headers={**headers, "Content-Encoding": encoding}
            )
    return Response(found.plain, media_type=found.media_type, headers=headers)


@router.get("/favicon.ico")
async def get_favicon() -> Response:
    """Answer the icon that browsers ask for unasked."""
    return Response((STATIC / "icon.svg").read_bytes(), media_type="image/svg+xml")


def url(name: str) -> str:
    """Return the address of a static file."""
    return f"/static/{_digest()}/{name}"


@cache
def _sources() -> Mapping[str, Callable[[], bytes]]:
    own = {path.name: path.read_bytes for path in STATIC.iterdir()}
    swagger = {name: (Path(swagger_ui_path) / name).read_bytes for name in SWAGGER}
    themes = json.encode({"light": theme(dark=False), "dark": theme(dark=True)})
    return {**own, **swagger, "themes.json": lambda: themes, VEGA: vega.bundle}


@cache
def _digest() -> str:
    """Return what changes whenever any file does: modules import one another by their bare names."""
    whole = hashlib.sha256(vega.bundle_digest().encode())
    for name, read in sorted(_sources().items()):
        # The bundle takes seconds to build, and its own digest says it all.
        whole.update(name.encode() + (b"" if name == VEGA else read()))
    return whole.hexdigest()[:16]


_building = threading.Lock()
_built: dict[str, Asset] = {}


def _asset(name: str) -> Asset:
    with _building:
        if name not in _built:
            plain = _sources()[name]()
            _built[name] = Asset(
                MEDIA_TYPES[Path(name).suffix],
                plain,
                gzip.compress(plain, 9, mtime=0),
                zstandard.ZstdCompressor(level=12).compress(plain),
            )
        return _built[name]
