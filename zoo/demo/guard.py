"""Checks of where a request comes from, and headers that protect the page."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
SECURITY_HEADERS = {
    # The page must not load anything from other servers.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HOST = re.compile(r"(?P<name>\[[^\[\]@/]+\]|[^\[\]:@/\s]+)(?::(?P<port>\d{1,5}))?")


class Guard:
    """Middleware that refuses requests of other sites, and adds `SECURITY_HEADERS` to every response.

    The ``Host`` header must name this server, which protects against DNS rebinding: another site's name that is made to
    resolve to this machine. The address at which a request has arrived is always accepted, as it is no name. The
    ``Origin`` header, if there is one, must be this server's, so that the pages of other sites cannot send requests.

    Args:
        app: The application.
        hosts: Accepted hosts: names or addresses, without a port.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = {normalized_host(host) for host in (*THIS_MACHINE, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        if "\0" in scope["path"]:  # Starlette's oldest versions would ask the file system for it
            return JSONResponse({"error": "There is nothing at this address."}, 404)
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        parts = _HOST.fullmatch(host)
        if parts is None or not self._is_accepted(parts["name"], scope):
            name = parts["name"] if parts else host
            message = f"This server does not answer as {name!r}: start it with `zoo demo --allowed_hosts NAME`."
            return JSONResponse({"error": message}, 400)
        # A browser that sends no Origin, for example with an image, tells by Sec-Fetch-Site where the request is from.
        site = headers.get("sec-fetch-site", "none") if scope["path"].startswith("/api/") else "none"
        if site not in ("none", "same-origin") or not _is_same_origin(headers.get("origin"), host):
            return JSONResponse({"error": "This server does not answer the pages of other sites."}, 403)
        return None

    def _is_accepted(self, name: str, scope: Scope) -> bool:
        name, address = normalized_host(name), (scope.get("server") or ("",))[0]
        return name in self.hosts or name == normalized_host(address)


def normalized_host(host: str) -> str:
    """Return a name or an address, with or without brackets, in the one form in which it can be compared."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().removesuffix(".")
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_same_origin(origin: str | None, host: str) -> bool:
    """Return whether an ``Origin`` header is that of a page of this server, which may be behind an HTTPS proxy."""
    if origin is None:
        return True
    scheme, _, place = origin.lower().partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme)
    return default is not None and place.removesuffix(default) == host.lower().removesuffix(default)
