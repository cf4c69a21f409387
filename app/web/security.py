"""What browsers are told to refuse, and what is refused from browsers on other sites' behalf."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import ForbiddenError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteError(ForbiddenError):
    """A page of another site tried to change something here; open this service's own pages."""

    title = "Cross-site request"


class Secured:
    """ASGI middleware: sends the security headers and refuses changes that other sites' pages ask for.

    Browsers say where a request comes from (`Sec-Fetch-Site`, else `Origin`); programs say nothing and pass.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def secure(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name for name, _ in given}
                message["headers"] = [*given, *(pair for pair in _RAW_HEADERS if pair[0] not in names)]
            await send(message)

        if scope["method"] not in SAFE_METHODS and is_cross_site(Headers(scope=scope)):
            await problem_response(CrossSiteError())(scope, receive, secure)
            return
        await self.app(scope, receive, secure)


def is_cross_site(headers: Headers) -> bool:
    """Say whether a browser sends this request for a page of another origin."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
