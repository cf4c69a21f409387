"""Filters in an address: known names only, times in UTC, each fault told by its name."""

from collections.abc import Iterable
from datetime import datetime

from fastapi import Request

from app.errors import Fault, InvalidRequestError
from app.services.times import optional_unix_us
from app.store.reports import ErrorFilter

DIMENSIONS = ("device", "processor", "condition", "model", "op_type")
FIELDS = {"device": "device_id"}
"""Dimensions that the report calls otherwise."""

TIMES = ("since", "until")
THEME = "theme"


def error_filter(request: Request) -> ErrorFilter:
    """Return the filter that a request's query names; raise `InvalidRequestError`."""
    only(request, (*DIMENSIONS, *TIMES, THEME))
    given = {name: value for name, value in request.query_params.items() if value.strip()}
    since, until = (_time(name, given[name]) if name in given else None for name in TIMES)
    return ErrorFilter(
        **{FIELDS.get(name, name): given[name] for name in DIMENSIONS if name in given},
        since_us=optional_unix_us(since),
        until_us=optional_unix_us(until),
    )


def only(request: Request, known: Iterable[str]) -> None:
    """Raise `InvalidRequestError` when the query names anything else."""
    names = list(known)
    for name in request.query_params:
        if name not in names:
            detail = f"There is no filter {name[:60]!r}; there are {', '.join(names)}."
            raise InvalidRequestError(detail, faults=(Fault(f"/query/{name[:60]}", detail),))


def chosen(request: Request) -> dict[str, str]:
    """Return the filters in use, as the address has them."""
    names = (*DIMENSIONS, *TIMES)
    return {name: value for name, value in request.query_params.items() if value.strip() and name in names}


def _time(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        detail = f"`{name}` is no time: write it as 2026-11-21T07:00 (UTC)."
        raise InvalidRequestError(detail, faults=(Fault(f"/query/{name}", detail),)) from error
    return found
