"""Who looks at the pages: the key of an open session, or of the request itself."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from app.auth import require
from app.services.keys import Principal, Role


def viewer(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """Return a dependency that lets these roles (and admin) in and tells the page who it is."""
    check = require(*roles)

    async def look(request: Request) -> Principal:
        request.state.principal = await check(request)
        return request.state.principal  # type: ignore[no-any-return]

    return look


AnalystDep = Annotated[Principal, Depends(viewer(Role.ANALYST))]
AdminDep = Annotated[Principal, Depends(viewer())]
