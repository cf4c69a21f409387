"""Who may call an endpoint: `Depends(require(Role.AGENT))` checks key, role and rate."""

import math
import time
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.errors import TooManyRequestsError, UnauthorizedError
from app.services.keys import ANYBODY, KeyRing, Principal, Role

SESSION_COOKIE = "socast_session"
"""Holds the key that a browser signed in with; scripts cannot read it, other sites cannot send it."""


class Gate:
    """Keys and rate limits of one running service; an open one lets everybody in."""

    def __init__(self, keys: KeyRing | None, rate_limit: str) -> None:
        self._keys = keys
        self._rate: RateLimitItem = parse(rate_limit)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def enter(self, authorization: str | None, allowed: frozenset[Role]) -> Principal:
        """Return who asks; raise unless the key is good, its role allowed and its rate not used up."""
        if self._keys is None:
            return ANYBODY
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise UnauthorizedError(headers={"WWW-Authenticate": "Bearer"})
        text = text.strip()
        principal = self._keys.known(text)
        if principal is None:
            principal = await run_in_threadpool(self._keys.authenticate, text)
        principal.check_role(allowed)
        self._check_rate(str(principal.key_id))
        return principal

    def _check_rate(self, key: str) -> None:
        if self._limiter.hit(self._rate, key):
            return
        wait_s = max(1, math.ceil(self._limiter.get_window_stats(self._rate, key).reset_time - time.time()))
        raise TooManyRequestsError(
            f"This key may make {self._rate}; wait.", headers={"Retry-After": str(wait_s)}
        )


def require(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """Return a dependency that lets these roles (and admin) in and tells who it is."""
    allowed = frozenset(roles)

    async def check(request: Request) -> Principal:
        gate: Gate = request.app.state.gate
        return await gate.enter(_authorization(request), allowed)

    return check


def _authorization(request: Request) -> str | None:
    """Return the `Authorization` header, or what it would be with the key of a signed-in browser.

    What other sites make a browser ask for never gets here (`app.web.security`), nor has it the cookie.
    """
    key = request.cookies.get(SESSION_COOKIE)
    return request.headers.get("authorization") or (None if key is None else f"Bearer {key}")
