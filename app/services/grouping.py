"""What reports are grouped by: names off an address, checked against those that there are."""

from collections.abc import Sequence

from app.errors import Fault, InvalidRequestError


def dimensions(text: str, known: Sequence[str]) -> list[str]:
    """Return the dimensions in a comma-separated list; raise `InvalidRequestError` naming unknown ones."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown:
        detail = f"Cannot group by {', '.join(unknown)[:200]}; use any of {', '.join(known)}."
        raise InvalidRequestError(detail, faults=(Fault("/query/group_by", detail),))
    return names
