"""Decode request bodies part by part, so that one faulty part is rejected alone, with a JSON pointer."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from app.errors import Fault, InvalidRequestError, MalformedBodyError
from app.schemas import measurements as wire

T = TypeVar("T")

_PATH: Final = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP: Final = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")

_sorted = msgspec.json.Encoder(order="sorted")


def decode_envelope(decode: Callable[[bytes], T], body: bytes) -> T:
    """Decode a body whose parts stay raw.

    Raises `MalformedBodyError` when the body is no JSON, `InvalidRequestError` when it is faulty as a whole.
    """
    if b"\\u0000" in body:
        _refuse_nul(body)
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(faults=(fault_of("", error),)) from error
    except msgspec.DecodeError as error:
        repaired = _without_nan(body)
        if repaired is None:
            raise MalformedBodyError(f"The body is not JSON: {error}.") from error
        return decode_envelope(decode, repaired)
    except UnicodeDecodeError as error:
        raise MalformedBodyError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise MalformedBodyError("The body is nested too deeply.") from error


def decode_part(
    decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, pointer: str, faults: list[Fault]
) -> T | None:
    """Decode one part, or note its fault and return None."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        faults.append(fault_of(pointer, error))
        return None


def fault_of(prefix: str, error: Exception) -> Fault:
    """Translate msgspec's `… - at `$.latency_us[3]`` into a JSON pointer and a message."""
    message = str(error)
    found = _PATH.search(message)
    if found is None:
        return Fault(prefix, message)
    return Fault(prefix + "".join(_pointer_steps(found["path"])), message[: found.start()])


def context_text(fields: wire.ContextFields | None) -> tuple[str, int]:
    """Return a context as JSON text with sorted keys and without nulls, and how many shares were clamped."""
    if not fields:
        return "{}", 0
    clamped = 0
    for name in wire.SHARES:
        value = fields.get(name)
        if value is not None and not 0.0 <= value <= 1.0:
            fields[name] = 0.0 if value < 0.0 else 1.0
            clamped += 1
    if None in fields.values():
        fields = {name: value for name, value in fields.items() if value is not None}
    return _sorted.encode(fields).decode(), clamped


def _pointer_steps(path: str) -> Iterable[str]:
    for step in _STEP.finditer(path):
        text: Any = step["name"] if step["name"] is not None else step["index"]
        if text != "...":
            yield "/" + text.replace("~", "~0").replace("/", "~1")


def _refuse_nul(body: bytes) -> None:
    """Refuse texts with the character NUL, which no database stores."""

    def refuse(value: Any, pointer: str) -> None:  # noqa: ANN401
        if isinstance(value, str) and "\0" in value:
            raise InvalidRequestError(faults=(Fault(pointer, "a text must not hold the character NUL"),))
        if isinstance(value, dict):
            for name, item in value.items():
                refuse(name, pointer)
                refuse(item, f"{pointer}/{name}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                refuse(item, f"{pointer}/{index}")

    try:
        refuse(json.loads(body), "")
    except (ValueError, RecursionError):
        return


def _without_nan(body: bytes) -> bytes | None:
    """Quote the NaN and Infinity that some encoders write, so that only the parts that hold them fail."""
    found = False

    def quote(constant: str) -> str:
        nonlocal found
        found = True
        return constant

    try:
        value = json.loads(body, parse_constant=quote)
    except (ValueError, RecursionError):
        return None
    return msgspec.json.encode(value) if found else None
