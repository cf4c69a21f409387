"""Request bodies: read, and decompress, with a bound on size, memory and time."""

import asyncio
import gzip
import io
import zlib

import zstandard
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import MalformedBodyError, SocastError, TooLargeError, UnsupportedMediaError
from app.services.budget import Budget, Reservation
from app.settings import Settings

CHUNK_BYTES = 1 << 20

INLINE_BYTES = 16 * 1024
"""Compressed bodies up to this are unpacked at once; larger ones in a thread, so that others are answered."""


class SlowBodyError(SocastError):
    """The body did not arrive in time; nothing was stored."""

    status = 408
    title = "Request timeout"


async def read_message(request: Request, settings: Settings, reservation: Reservation | None = None) -> bytes:
    """Return the decompressed body of a JSON message, within the bounds that the settings name."""
    return await read_body(
        request,
        max_body_bytes=settings.max_body_bytes,
        max_decoded_bytes=settings.max_decoded_bytes,
        timeout_s=settings.body_timeout_s,
        reservation=reservation,
    )


async def read_body(
    request: Request,
    *,
    max_body_bytes: int,
    max_decoded_bytes: int,
    timeout_s: float = 60.0,
    reservation: Reservation | None = None,
) -> bytes:
    """Return the decompressed body; refuse it as soon as a bound is passed.

    A `reservation` also counts its bytes among those that all requests hold.
    """
    held = reservation or Reservation(Budget(max_body_bytes + max_decoded_bytes))
    try:
        async with asyncio.timeout(timeout_s):
            sent = await _read(request, max_body_bytes, held)
    except TimeoutError as error:
        raise SlowBodyError from error
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return sent
    if encoding not in ("gzip", "zstd"):
        raise UnsupportedMediaError(
            f"Content-Encoding `{encoding[:50]}` is not understood; use gzip or zstd."
        )
    if len(sent) <= INLINE_BYTES:
        return _decompress(encoding, sent, max_decoded_bytes, held)
    return await run_in_threadpool(_decompress, encoding, sent, max_decoded_bytes, held)


async def _read(request: Request, limit_bytes: int, reservation: Reservation) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise TooLargeError(f"The body has {declared} bytes, {limit_bytes} are taken; send smaller batches.")
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async for part in request.stream():
            size_bytes += len(part)
            if size_bytes > limit_bytes:
                raise TooLargeError(f"The body is larger than {limit_bytes} bytes; send smaller batches.")
            reservation.take(len(part))
            parts.append(part)
    except ClientDisconnect as error:
        raise MalformedBodyError("The body ended early.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _decompress(encoding: str, sent: bytes, limit_bytes: int, reservation: Reservation) -> bytes:
    """Unpack piece by piece, so that a bomb is noticed after `limit_bytes`."""
    stream = (
        gzip.GzipFile(fileobj=io.BytesIO(sent))
        if encoding == "gzip"
        else zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(sent, read_across_frames=True)
    )
    parts: list[bytes] = []
    size_bytes = 0
    try:
        while part := stream.read(CHUNK_BYTES):
            size_bytes += len(part)
            if size_bytes > limit_bytes:
                raise TooLargeError(
                    f"The body unpacks to more than {limit_bytes} bytes; send smaller batches."
                )
            reservation.take(len(part))
            parts.append(part)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise MalformedBodyError(f"The body could not be decompressed: {error}.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)
