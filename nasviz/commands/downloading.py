"""Getting published data sets before training: only where `--download` was said."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TextIO

from nasviz.catalog import FACTS, data_title
from nasviz.commands.text import plain
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings

__all__ = ["download_data"]

EVERY_S = 0.5


def download_data(runs: Iterable[RunSettings], out: TextIO | None) -> None:
    """Fetch the data sets of these runs into the folders that they name, where they are not there yet.

    Args:
        runs: Their settings.
        out: Where progress is printed; None for nowhere.

    Raises:
        InvalidSettingError: No folder is named.
        DataError: A data set is not downloaded, or does not come as published.
    """
    from nasviz.data import download

    wanted = {(run.data, run.data_folder) for run in runs if run.data != "digits"}
    for name, folder in sorted(wanted, key=str):
        if name not in FACTS:
            raise InvalidSettingError(f"--download: {plain(name)} is your own; nothing is fetched for it")
        if folder is None:
            raise InvalidSettingError(f"--download of {data_title(name)} needs --data-folder DIR to go to")
        download(name, folder, _Line(out))
        if out is not None:
            out.write(f"\n{data_title(name)} is in {folder}\n")


class _Line:
    """One line that is written over, at most twice a second."""

    def __init__(self, out: TextIO | None) -> None:
        self._out, self._last = out, float("-inf")

    def __call__(self, share: float, words: str) -> None:
        now = time.monotonic()
        if self._out is not None and (now - self._last > EVERY_S or share >= 1):
            self._last = now
            self._out.write(f"\r{share:4.0%} {words:<60}")
            self._out.flush()
