"""`nasviz app`: the app in a browser, from an installed package or a clone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from nasviz.cli.options import with_settings
from nasviz.extras import locate_package
from nasviz.settings.server import SERVER

__all__ = ["serve"]


@with_settings(SERVER)
def serve(
    *streamlit: Annotated[
        str,
        Parameter(
            name="STREAMLIT",
            allow_leading_hyphen=True,
            show_default=False,
            help="After --: options of Streamlit, such as --server.sslCertFile FILE.",
        ),
    ],
    port: Annotated[int, Parameter(metavar="N", help="Port of the server.")] = 8501,
    address: Annotated[str, Parameter(help="Address that the server listens on.")] = "127.0.0.1",
    **given: Any,
) -> int:
    """Open the app in a browser."""
    locate_package("streamlit", "the app")
    command = ["-m", "nasviz.ui", "--server.port", str(port), "--server.address", address]
    options = [word for name, value in given.items() for word in _words(name, value)]
    sys.stdout.flush()
    # -P: nothing is imported from the current folder.
    command = [sys.executable, "-P", *command, *streamlit, "--", *options]
    if sys.platform != "win32":  # where `execv` returns to the prompt at once
        os.execv(sys.executable, command)
    return subprocess.call(command)


def _words(name: str, value: Any) -> list[str]:
    """Return an option as it is typed."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] * value
    return [f"{flag}={one}" for one in (value if isinstance(value, tuple | list) else [value])]
