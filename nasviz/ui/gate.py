"""Access control of the app: request checks and security headers.

Every web page that the user visits can send requests to a server on this machine: through links, frames,
scripts or DNS rebinding to 127.0.0.1. The gate is ASGI middleware around everything that Streamlit serves:
pages, websocket, uploads and media.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from nasviz.ui.options import HOST, Options

__all__ = ["CONTENT_SECURITY_POLICY", "LOCAL_HOSTS", "Gate", "Refusal", "Rules", "policy"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Local host names that are not resolved by DNS."""
DEFAULT_PORTS = {"http": "80", "https": "443"}
READING = ("GET", "HEAD")
_HOST_HEADER = re.compile(rf"(?P<name>{HOST.pattern})(?::(?P<port>[0-9]{{1,5}}))?")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?P<name>{HOST.pattern})(?::(?P<port>[0-9]{{1,5}}))?")

CONTENT_SECURITY_POLICY = {
    "default-src": "'self'",
    # Components load their scripts as blobs. Graphviz in the browser and the protobuf decoder are
    # WebAssembly. `policy` adds the hash of the inline script of Streamlit's index.html.
    "script-src": "'self' blob: 'wasm-unsafe-eval'",
    # Streamlit's widgets, the graph views and Plotly write style elements and attributes.
    "style-src": "'self' 'unsafe-inline'",
    # Icons and thumbnails are data URLs; Plotly renders its image downloads from a blob.
    "img-src": "'self' data: blob:",
    # Icon and formula fonts.
    "font-src": "'self' data:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""Policy of the pages of the app: no external resources, no embedding in frames."""
_MEDIA_POLICY = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "img-src": "data:",
    "sandbox": "",
    "frame-ancestors": "'none'",
}
"""Policy of media files, which come from runs and networks: data only, even if a browser renders them as a"
" page."""
_HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>nasviz</title>
<style>body {{ font: 17px/1.5 sans-serif; max-width: 42em; margin: 15vh auto; padding: 0 1em;
color-scheme: light dark; }}</style><h1>{title}</h1><p>{text}</p></html>"""


def policy(index: str) -> str:
    """Return the Content-Security-Policy under which the inline scripts of a page run, and no others.

    Examples:
        >>> policy("<script>a()</script>").split("; ")[1]
        "script-src 'self' blob: 'wasm-unsafe-eval' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='"
    """
    parts = dict(CONTENT_SECURITY_POLICY)
    for script in _INLINE_SCRIPT.findall(index):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        parts["script-src"] += f" 'sha256-{digest}'"
    return _joined(parts)


def _joined(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}".strip() for name, value in parts.items())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a request is rejected."""

    status: int
    title: str
    text: str
    """Explanation and remedy."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules for accepting requests.

    Examples:
        >>> rules = Rules(LOCAL_HOSTS)
        >>> rules.refusal({"type": "http", "method": "GET", "headers": [(b"host", b"localhost:8501")]})
        >>> rules.refusal({"type": "http", "method": "GET", "headers": [(b"host", b"evil.example")]}).status
        403
    """

    hosts: frozenset[str]
    """Accepted host names."""
    proxy_hosts: frozenset[str] = frozenset()
    """Host names of a proxy, whose origin differs from the Host header that it forwards."""
    token: str | None = None
    base: str = ""
    """Base path of the app, without a trailing slash."""
    policy: str = policy("")
    """Content-Security-Policy of everything but media."""

    @classmethod
    def of(cls, options: Options, address: str | None, *, base: str = "", index: str = "") -> Rules:
        """Return the rules of a server.

        Args:
            options: Options of the operator.
            address: Address on which the server listens.
            base: Base path of the app.
            index: HTML page whose inline scripts are allowed.
        """
        hosts = LOCAL_HOSTS.union(options.hosts)
        if address is not None and HOST.fullmatch(address) and not _is_wildcard(address):
            hosts |= {address.lower()}
        proxy_hosts = frozenset(options.hosts) if options.is_behind_proxy else frozenset()
        base = f"/{base.strip('/')}" if base.strip("/") else ""
        return cls(hosts, proxy_hosts, options.token, base, policy(index))

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is rejected; None if it is accepted."""
        host = _HOST_HEADER.fullmatch(_only(scope, b"host") or "")
        if host is None or host["name"].lower() not in self.hosts | _arrived_at(scope):
            return Refusal(
                403,
                "Unknown host name",
                "This server accepts configured host names only. If the name in the address bar is correct,"
                " restart the server with -- --host NAME.",
            )
        if self._needs_origin(scope) and not self._is_own_origin(scope, host):
            return Refusal(403, "Another origin", "Only pages of this server may send this request.")
        if self.token is not None and not self._is_health(scope) and not self._has_cookie(scope):
            return Refusal(
                403,
                "Token needed",
                "This server requires a token. Open the address with ?token=... that it printed when it"
                " started.",
            )
        return None

    def is_let_in(self, scope: Scope) -> bool | None:
        """Return whether the token in the address is correct; None if there is no token in it."""
        found = [value for name, value in _query(scope) if name == "token"]
        if self.token is None or not found:
            return None
        return len(found) == 1 and hmac.compare_digest(found[0].encode(), self.token.encode())

    def cookie(self, scope: Scope) -> str:
        """Return the Set-Cookie header for a browser that has sent the token."""
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return f"{_cookie_name(scope)}={self._secret}; Path=/; HttpOnly; SameSite=Lax{secure}"

    @property
    def _secret(self) -> str:
        """Value of the cookie: an HMAC that proves knowledge of the token without revealing it."""
        assert self.token is not None
        return hmac.new(self.token.encode(), b"nasviz cookie", hashlib.sha256).hexdigest()

    def _has_cookie(self, scope: Scope) -> bool:
        name, found = _cookie_name(scope), False
        for header in _all(scope, b"cookie"):
            for part in header.split(";"):
                key, _, value = part.strip().partition("=")
                found |= key == name and hmac.compare_digest(value.encode(), self._secret.encode())
        return found

    def _is_health(self, scope: Scope) -> bool:
        """Return whether the request is a health check."""
        is_reading = scope["type"] == "http" and scope["method"] in READING
        return is_reading and scope["path"] == f"{self.base}/_stcore/health"

    def _needs_origin(self, scope: Scope) -> bool:
        """Return whether a request needs an origin check: it can change state, or a script sent it."""
        is_reading = scope["type"] == "http" and scope["method"] in READING
        return not is_reading or bool(_all(scope, b"origin"))

    def _is_own_origin(self, scope: Scope, host: re.Match[str]) -> bool:
        origin = _ORIGIN.fullmatch(_only(scope, b"origin") or "")
        if origin is None:
            return False
        usual = DEFAULT_PORTS[origin["scheme"]]
        name, port = origin["name"].lower(), origin["port"] or usual
        if name in self.proxy_hosts and port == usual:
            return True
        return (name, port) == (host["name"].lower(), host["port"] or usual)


class Gate:
    """ASGI middleware that rejects requests by the rules and adds security headers.

    Args:
        app: ASGI application.
        rules: Rules for accepting requests.
    """

    def __init__(self, app: App, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        is_media = scope["path"].startswith(f"{self.rules.base}/media/")
        sent = _with_headers(send, _joined(_MEDIA_POLICY) if is_media else self.rules.policy)
        refusal = self.rules.refusal(scope)
        is_let_in = None
        if scope["type"] == "http" and (refusal is None or refusal.title == "Token needed"):
            is_let_in = self.rules.is_let_in(scope)
        if is_let_in is False:
            refusal = Refusal(403, "Wrong token", "The token in the address is not valid for this server.")
        if is_let_in and scope["method"] in READING:
            await _redirect(sent, _without_token(scope), self.rules.cookie(scope))
        elif refusal is not None:
            await _refuse(scope, sent, refusal)
        else:
            await self.app(scope, receive, sent)


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _only(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header that must be unique; None if it is missing or repeated."""
    found = _all(scope, name)
    return found[0] if len(found) == 1 else None


def _arrived_at(scope: Scope) -> frozenset[str]:
    """Return the IP address at which the request arrived, which DNS rebinding cannot forge."""
    address = (scope.get("server") or ("", None))[0]
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", address):
        return frozenset()
    plain = address.lower().removeprefix("::ffff:")
    return frozenset({f"[{plain}]" if ":" in plain else plain})


def _is_wildcard(address: str) -> bool:
    return address in ("0.0.0.0", "[::]")


def _cookie_name(scope: Scope) -> str:
    """Return a cookie name with the port, because all ports of a host share their cookies."""
    return f"nasviz-{(scope.get('server') or ('', 0))[1]}"


def _query(scope: Scope) -> list[tuple[str, str]]:
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return []


def _without_token(scope: Scope) -> str:
    """Return the address without the token, so that it does not stay in the address bar."""
    # Exactly one leading slash: two would make it a URL of another host.
    path = "/" + quote(scope["path"].lstrip("/"), safe="/")
    rest = [(name, value) for name, value in _query(scope) if name != "token"]
    return f"{path}?{urlencode(rest)}" if rest else path


def _with_headers(send: Send, content_policy: str) -> Send:
    own = _HEADERS | {"content-security-policy": content_policy}
    pairs = [(name.encode(), value.encode()) for name, value in own.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*_kept(message.get("headers", ()), own), *pairs]
        await send(message)

    return sent


def _kept(headers: Iterable[tuple[bytes, bytes]], replaced: Iterable[str]) -> Iterable[tuple[bytes, bytes]]:
    """Yield the headers of the app without those that the gate sets and without CORS headers."""
    names = {name.encode() for name in replaced}
    for name, value in headers:
        if name.lower() not in names and not name.lower().startswith(b"access-control-"):
            yield name, value


async def _redirect(send: Send, address: str, cookie: str) -> None:
    headers = [
        (b"location", address.encode()),
        (b"set-cookie", cookie.encode()),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        # Closing before the handshake makes the server respond with 403.
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.title})
        return
    body = _PAGE.format(title=refusal.title, text=refusal.text).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
