"""Times of requests: microseconds since the epoch inside, aware datetimes outside."""

from datetime import UTC, datetime, timedelta

from app.errors import Fault, InvalidRequestError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_us: int) -> datetime:
    """Return microseconds since the epoch as a time."""
    return EPOCH + timedelta(microseconds=time_us)


def microseconds(given: datetime | None) -> int | None:
    """Return an aware time as microseconds since the epoch."""
    return None if given is None else (given - EPOCH) // timedelta(microseconds=1)


def ordered(since_us: int | None, until_us: int | None) -> None:
    """Raise `InvalidRequestError` when a range ends before it begins."""
    if since_us is not None and until_us is not None and since_us >= until_us:
        detail = "`since` must be before `until`."
        raise InvalidRequestError(detail, faults=(Fault("/query/since", detail),))
