"""Times: microseconds since the epoch inside, datetimes and RFC 3339 outside."""

from datetime import UTC, datetime, timedelta
from typing import Final

from app.errors import Fault, InvalidRequestError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def moment(time_us: int) -> datetime:
    """Return microseconds since the epoch as a time."""
    return _EPOCH + timedelta(microseconds=time_us)


def unix_us(time: datetime) -> int:
    """Return an aware time as microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def optional_unix_us(given: datetime | None) -> int | None:
    """Return a time that may be left out as microseconds since the epoch; without a zone it counts as UTC."""
    if given is None:
        return None
    return unix_us(given if given.tzinfo else given.replace(tzinfo=UTC))


def rfc3339(time: datetime) -> str:
    """Return a UTC time as the wire writes it."""
    return time.isoformat().replace("+00:00", "Z")


def ordered(since_us: int | None, until_us: int | None) -> None:
    """Raise `InvalidRequestError` when a range ends before it begins."""
    if since_us is not None and until_us is not None and since_us >= until_us:
        detail = "`since` must be before `until`."
        raise InvalidRequestError(detail, faults=(Fault("/query/since", detail),))
