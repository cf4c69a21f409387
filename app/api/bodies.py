"""Request bodies: read, and decompress, with a bound on both sizes."""

import gzip
import io
import zlib

import zstandard
from starlette.requests import ClientDisconnect, Request

from app.errors import MalformedBodyError, TooLargeError, UnsupportedMediaError

CHUNK_BYTES = 1 << 20


async def read_body(request: Request, *, max_body_bytes: int, max_decoded_bytes: int) -> bytes:
    """Return the decompressed body; raise `TooLargeError` as soon as either size passes its bound."""
    sent = await _read(request, max_body_bytes)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    match encoding:
        case "identity" | "":
            return sent
        case "gzip":
            return _bounded(gzip.GzipFile(fileobj=io.BytesIO(sent)), max_decoded_bytes)
        case "zstd":
            stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                sent, read_across_frames=True
            )
            return _bounded(stream, max_decoded_bytes)
        case _:
            raise UnsupportedMediaError(
                f"Content-Encoding `{encoding[:50]}` is not understood; use gzip or zstd."
            )


async def _read(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(
            f"The body has {declared} bytes, this server takes {limit}; send smaller batches."
        )
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise TooLargeError(f"The body is larger than {limit} bytes; send smaller batches.")
            parts.append(part)
    except ClientDisconnect as error:
        raise MalformedBodyError("The body ended early.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _bounded(
    stream: io.BufferedIOBase | zstandard.ZstdDecompressionReader | gzip.GzipFile, limit: int
) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while part := stream.read(CHUNK_BYTES):
            size += len(part)
            if size > limit:
                raise TooLargeError(
                    f"The body is larger than {limit} bytes after decompression; send smaller batches."
                )
            parts.append(part)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise MalformedBodyError(f"The body could not be decompressed: {error}.") from error
    return b"".join(parts)
