"""Numbers and times as people read them, with their units."""

import re
from datetime import UTC, datetime
from math import isfinite

NOTHING = "–"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_QUANTITY = re.compile(rf"{NOTHING}|[+-]?[\d.,]+({_THIN}?[%×\w]{{1,5}})?( to .*)?")


def count(value: float | None) -> str:
    """Return a whole number with separators: `12,345`."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(fraction: float | None) -> str:
    """Return a fraction as per cent: 0.254 is `25.4 %`."""
    if fraction is None or not isfinite(fraction):
        return NOTHING
    digits = 0 if abs(fraction) >= 1.0 else 1
    return f"{fraction * 100:.{digits}f}{_THIN}%"


def latency(value_us: float | None) -> str:
    """Return a latency in its natural unit: `76.2 ms`."""
    if value_us is None or not isfinite(value_us):
        return NOTHING
    for limit, divisor, unit in ((1e3, 1.0, "µs"), (1e6, 1e3, "ms")):
        if abs(value_us) < limit:
            return f"{_digits(value_us / divisor)}{_THIN}{unit}"
    return f"{_digits(value_us / 1e6)}{_THIN}s"


def size(value_bytes: float | None) -> str:
    """Return a size in bytes in its natural unit: `22.8 MB`."""
    if value_bytes is None:
        return NOTHING
    for limit, divisor, unit in ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if abs(value_bytes) < limit:
            return f"{_digits(value_bytes / divisor)}{_THIN}{unit}"
    return f"{_digits(value_bytes / 1e9)}{_THIN}GB"


def factor(value: float | None) -> str:
    """Return a ratio: `1.42×`."""
    return NOTHING if value is None or not isfinite(value) else f"{value:.2f}×"


def quantity(value: float | None) -> str:
    """Return any number of a context: three or four digits that matter."""
    if value is None or not isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def large(value: float | None) -> str:
    """Return a large count with its prefix: `3.9 G`."""
    if value is None:
        return NOTHING
    for limit, divisor, unit in ((1e3, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if abs(value) < limit:
            return f"{_digits(value / divisor)}{_THIN}{unit}".rstrip()
    return f"{_digits(value / 1e12)}{_THIN}T"


def moment(time_us: float) -> str:
    """Return a time in UTC to the second."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def iso(time_us: float) -> str:
    """Return a time as RFC 3339."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def is_number(text: str) -> bool:
    """Say whether a table's cell holds a quantity, which stands to the right."""
    return _QUANTITY.fullmatch(text) is not None


def short(digest: str) -> str:
    """Return the first digits of a digest, enough to tell versions apart."""
    return digest.removeprefix("sha256:")[:10]


def _digits(value: float) -> str:
    """Return three significant digits without an exponent."""
    magnitude = abs(value)
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"
