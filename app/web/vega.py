"""Vega's JavaScript, and charts as pictures: vl-convert in a process of its own.

vl-convert holds the interpreter's lock for as long as it works (seconds for the bundle), which would stop
every other request; so `python -m app.web.vega` does that work, one task a call.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from app.errors import SocastError, UnavailableError

PictureFormat = Literal["svg", "png"]

LIMIT_S = 60.0
AT_A_TIME = 2
PNG_SCALE = 2.0

_rendering = threading.BoundedSemaphore(AT_A_TIME)


class RenderingError(SocastError):
    """The chart could not be drawn; the server's log has the details."""

    title = "Chart not drawn"


def picture(spec: dict[str, Any], format_: PictureFormat) -> bytes:
    """Return a Vega-Lite chart as SVG or PNG; its data must be inside the specification."""
    if not _rendering.acquire(timeout=LIMIT_S / 2):
        raise UnavailableError("Too many charts are being drawn; try again in a moment.")
    try:
        return _call(format_, json.dumps(spec).encode())
    finally:
        _rendering.release()


def bundle() -> bytes:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed; it is built once and kept on disk."""
    kept = _cache_directory() / f"vega-{bundle_digest()}.js"
    try:
        return kept.read_bytes()
    except OSError:
        built = _call("bundle", b"")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(built)
        partial.replace(kept)
    except OSError:
        pass  # A read-only system builds it again at the next start.
    return built


def bundle_digest() -> str:
    """Return what changes whenever the bundle does: it is a function of vl-convert's version."""
    return hashlib.sha256(f"vl-convert {version('vl-convert-python')}".encode()).hexdigest()[:16]


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "socast"
    except RuntimeError:  # A user without a home.
        return Path("/nonexistent")


def _call(task: str, data: bytes) -> bytes:
    command = [sys.executable, "-m", "app.web.vega", task]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT_S, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        detail = getattr(error, "stderr", None) or b""
        raise RenderingError(f"The chart could not be drawn: {detail.decode()[-200:] or error}") from error
    return done.stdout


def main(task: str) -> None:
    """Do one task: `bundle`, or `svg` or `png` of the specification on standard input."""
    import vl_convert

    if task == "bundle":
        made = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
    else:
        spec = json.loads(sys.stdin.buffer.read())
        if task == "svg":
            made = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()
        else:
            made = vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, allowed_base_urls=[])
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main(sys.argv[1])
