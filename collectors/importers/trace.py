"""Our own traces: measurement batches, one a line, as `socast agent --trace` writes them."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from collectors.importers.importer import Importer, Origin, UnreadableFileError


class Trace:
    """NDJSON, gzip allowed; everything is in the file, and `--device` only renames a single device."""

    format = "trace"
    description = "measurement batches, one a line (gzip allowed), as `socast agent --trace` writes them"

    def batches(self, path: Path, origin: Origin) -> Iterator[bytes]:
        """Yield the batches as they are."""
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        seen: set[str] = set()
        empty = True
        try:
            with gzip.open(path) if packed else path.open("rb") as file:
                for line in filter(bytes.strip, file):
                    empty = False
                    yield line if origin.device_id is None else _renamed(line, origin.device_id, seen)
        except (OSError, EOFError, zlib.error, msgspec.DecodeError, KeyError, TypeError) as error:
            raise UnreadableFileError(f"{path} is no trace of measurement batches: {error}.") from error
        if empty:
            raise UnreadableFileError(f"{path} holds no measurement batch.")


def _renamed(line: bytes, device_id: str, seen: set[str]) -> bytes:
    batch = msgspec.json.decode(line)
    seen.add(batch["device"]["device_id"])
    if len(seen) > 1:
        raise UnreadableFileError("The trace holds several devices; leave out --device to keep their names.")
    batch["device"]["device_id"] = device_id
    return msgspec.json.encode(batch)


IMPORTER: Importer = Trace()
