"""The gate in front of the app: which requests the server answers, and what browsers may do with the answers.

A server on this machine can be reached by every web page that the user visits: through a link, a frame, a
script, or a host name that is re-bound to 127.0.0.1. The gate is ASGI middleware around all that Streamlit
serves, pages, websocket, uploads and media alike.
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
"""Names of this machine that no name server is asked for."""
DEFAULT_PORTS = {"http": "80", "https": "443"}
READING = ("GET", "HEAD")
_HOST_HEADER = re.compile(rf"(?P<name>{HOST.pattern})(?::(?P<port>[0-9]{{1,5}}))?")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?P<name>{HOST.pattern})(?::(?P<port>[0-9]{{1,5}}))?")

CONTENT_SECURITY_POLICY = {
    "default-src": "'self'",
    # Components hand their scripts over as blobs. Graphviz, which draws small graphs where the server cannot,
    # and the protobuf reader are WebAssembly. `policy` adds the one inline script of Streamlit's index.html.
    "script-src": "'self' blob: 'wasm-unsafe-eval'",
    # Streamlit's widgets, the graph views and Plotly write style elements and attributes.
    "style-src": "'self' 'unsafe-inline'",
    # Icons and thumbnails are data URLs; Plotly draws the picture that it offers for download from a blob.
    "img-src": "'self' data: blob:",
    # Symbols of tables and formulas.
    "font-src": "'self' data:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""What a page of the app may load: nothing from anywhere else. And no page may show it in a frame."""
_MEDIA_POLICY = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "img-src": "data:",
    "sandbox": "",
    "frame-ancestors": "'none'",
}
"""For files that runs and networks have left: data, even where a browser would show them as a page."""
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
    """Why a request is not answered."""

    status: int
    title: str
    text: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom the server answers.

    Examples:
        >>> rules = Rules(LOCAL_HOSTS)
        >>> rules.refusal({"type": "http", "method": "GET", "headers": [(b"host", b"localhost:8501")]})
        >>> rules.refusal({"type": "http", "method": "GET", "headers": [(b"host", b"evil.example")]}).status
        403
    """

    hosts: frozenset[str]
    """Names under which browsers reach this server."""
    proxy_hosts: frozenset[str] = frozenset()
    """Names of a proxy in front, whose pages have another origin than the Host header that it sends on."""
    token: str | None = None
    base: str = ""
    """Path before all addresses of the app, without a slash at its end."""
    policy: str = policy("")
    """Content-Security-Policy of all that is no media."""

    @classmethod
    def of(cls, options: Options, address: str | None, *, base: str = "", index: str = "") -> Rules:
        """Return the rules of a server.

        Args:
            options: What the operator has decided.
            address: Where the server listens.
            base: Path before all addresses of the app.
            index: Page of Streamlit whose inline scripts may run.
        """
        hosts = LOCAL_HOSTS.union(options.hosts)
        if address is not None and HOST.fullmatch(address) and not _is_wildcard(address):
            hosts |= {address.lower()}
        proxy_hosts = frozenset(options.hosts) if options.is_behind_proxy else frozenset()
        base = f"/{base.strip('/')}" if base.strip("/") else ""
        return cls(hosts, proxy_hosts, options.token, base, policy(index))

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why this request is not answered; None if it is."""
        host = _HOST_HEADER.fullmatch(_only(scope, b"host") or "")
        if host is None or host["name"].lower() not in self.hosts | _arrived_at(scope):
            return Refusal(
                403,
                "Unknown host name",
                "This server answers only for names that it was started with. If the name in the address bar"
                " is yours, start it again with -- --host NAME.",
            )
        if self._needs_origin(scope) and not self._is_own_origin(scope, host):
            return Refusal(403, "Another origin", "Only pages of this server may ask for this.")
        if self.token is not None and not self._is_health(scope) and not self._has_cookie(scope):
            return Refusal(
                403,
                "Token needed",
                "This server answers only to browsers that know its token. Open the address with ?token=..."
                " that it printed when it was started.",
            )
        return None

    def is_let_in(self, scope: Scope) -> bool | None:
        """Return whether the address holds the token; None where it holds none."""
        found = [value for name, value in _query(scope) if name == "token"]
        if self.token is None or not found:
            return None
        return len(found) == 1 and hmac.compare_digest(found[0].encode(), self.token.encode())

    def cookie(self, scope: Scope) -> str:
        """Return the Set-Cookie header of a browser that has shown the token."""
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return f"{_cookie_name(scope)}={self._secret}; Path=/; HttpOnly; SameSite=Lax{secure}"

    @property
    def _secret(self) -> str:
        """What the cookie holds: it proves the token without being it."""
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
        """Return whether the request asks for the health of the server only, as monitors do."""
        is_reading = scope["type"] == "http" and scope["method"] in READING
        return is_reading and scope["path"] == f"{self.base}/_stcore/health"

    def _needs_origin(self, scope: Scope) -> bool:
        """Return whether a request can change something or comes from a script: browsers send its origin."""
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
    """Answer only what the rules allow, and add the headers that bind browsers.

    Args:
        app: The ASGI application behind it.
        rules: Whom the server answers.
    """

    def __init__(self, app: App, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
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
            refusal = Refusal(403, "Wrong token", "The token in the address is not the one of this server.")
        if is_let_in and scope["method"] in READING:
            await _redirect(sent, _without_token(scope), self.rules.cookie(scope))
        elif refusal is not None:
            await _refuse(scope, sent, refusal)
        else:
            await self.app(scope, receive, sent)


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _only(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header that may stand in a request once; None where it is missing or repeated."""
    found = _all(scope, name)
    return found[0] if len(found) == 1 else None


def _arrived_at(scope: Scope) -> frozenset[str]:
    """Return the address at which the request arrived; DNS rebinding cannot change a number."""
    address = (scope.get("server") or ("", None))[0]
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", address):
        return frozenset()
    plain = address.lower().removeprefix("::ffff:")
    return frozenset({f"[{plain}]" if ":" in plain else plain})


def _is_wildcard(address: str) -> bool:
    return address in ("0.0.0.0", "[::]")


def _cookie_name(scope: Scope) -> str:
    """Cookies of one host are shared by all its ports: each server has a name of its own."""
    return f"nasviz-{(scope.get('server') or ('', 0))[1]}"


def _query(scope: Scope) -> list[tuple[str, str]]:
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return []


def _without_token(scope: Scope) -> str:
    """Return the address without its token, so that it is not left in the address bar or copied from it."""
    # One slash at its begin, whatever was asked for: two would name another host.
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
    """Headers of the app, but for those that the gate sets, and for those that let other origins read."""
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
        # Before the handshake is accepted: the server answers it with 403.
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
