"""Serving of the app: the gate around Streamlit, and the checks before the server starts."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit
from starlette.middleware import Middleware
from streamlit import config, runtime

from nasviz import jobs
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.ui.gate import Gate, Rules
from nasviz.ui.options import Options, options

__all__ = ["SCRIPT", "lifespan", "middleware", "require_gate", "require_guarded"]

_PACKAGED = Path(__file__).parent / "app" / "app.py"
SCRIPT = _PACKAGED if _PACKAGED.exists() else Path(__file__).parents[2] / "app.py"
"""Script of the first page; those of the other pages lie in `pages`, in the same folder.

A wheel holds a copy of the scripts, and a clone has them at its top.
"""

_has_gate = False


def middleware() -> list[Middleware]:
    """Return the middleware around Streamlit.

    Raises:
        SystemExit: The options are invalid, or the server would be open to the network without a token.
    """
    address = config.get_option("server.address")
    try:
        require_guarded(options(), address)
        index = Path(streamlit.__file__).with_name("static") / "index.html"
        rules = Rules.of(
            options(),
            address,
            base=config.get_option("server.baseUrlPath") or "",
            index=index.read_text(encoding="utf-8"),
        )
    except NasvizError as error:
        raise SystemExit(f"nasviz: {error}") from None
    global _has_gate
    _has_gate = True
    return [Middleware(Gate, rules=rules)]


def require_gate() -> None:
    """Check that this page is served behind the gate, not by `streamlit run` of its own script.

    Raises:
        InvalidSettingError: There is no gate.
    """
    # Not isinstance: AppTest replaces the runtime by a mock of that class (streamlit 1.67).
    is_served = runtime.exists() and type(runtime.get_instance()) is runtime.Runtime
    if is_served and not _has_gate:
        raise InvalidSettingError(
            "this page was started directly, without access checks; start the app instead: nasviz app, or"
            " streamlit run app.py"
        )


def require_guarded(chosen: Options, address: str | None) -> None:
    """Check that a server that other machines can reach has a token or an authenticating proxy.

    Raises:
        InvalidSettingError: The server has neither.

    Examples:
        >>> require_guarded(Options(runs=None), "127.0.0.1")
    """
    if _is_loopback(address) or chosen.token is not None or chosen.is_behind_proxy:
        return
    where = "all addresses of this machine" if address is None else address
    raise InvalidSettingError(
        f"the app would listen on {where}, where other machines can reach it, start runs and delete them."
        " Add -- --token auto to require a secret in the address, -- --behind-proxy if a proxy authenticates"
        " users, or --server.address 127.0.0.1 to serve this machine only"
    )


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Print the address with the token once the port is known; stop all child processes with the server."""
    if (token := options().token) is not None:
        address = config.get_option("server.address") or "localhost"
        scheme = "https" if config.get_option("server.sslCertFile") else "http"
        base = (config.get_option("server.baseUrlPath") or "").strip("/")
        place = f"{scheme}://{address}:{config.get_option('server.port')}/{f'{base}/' if base else ''}"
        print(f"  Open nasviz at: {place}?token={token}\n", flush=True)  # noqa: T201 (to the operator's terminal)
    try:
        yield
    finally:
        jobs.close()  # uvicorn re-raises the signal that stopped the server, so exit handlers do not run


def _is_loopback(address: str | None) -> bool:
    if address == "localhost":
        return True
    try:
        return address is not None and ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
