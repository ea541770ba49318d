"""The parser of the command line: mistakes are one short line, with the nearest right word."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from nasviz.settings.base import nearest

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """Answers a mistake without the list of all options."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and refuse an unknown option here, where its neighbours are known."""
        found: tuple[Any, list[str]] = super().parse_known_args(args, namespace)
        for word in found[1]:
            if word.startswith("--") and word != "--":
                option = word.partition("=")[0]
                self.error(f"no option is called {option}{self._nearest(option)}")
        return found

    def error(self, message: str) -> NoReturn:
        """Print the mistake in one line and end with exit code 2."""
        print(f"{self.prog}: {message}; `{self.prog} --help` lists what there is", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)

    def _nearest(self, option: str) -> str:
        names = [name.removeprefix("--").replace("-", "_") for name in self._option_string_actions]
        return nearest(option.removeprefix("--"), names).replace("_", "-").replace("nearest: ", "nearest: --")
