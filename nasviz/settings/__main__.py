"""Print all settings as Markdown tables: `make settings` writes them to docs/settings.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from nasviz.catalog import Setting
from nasviz.settings import METHODS, RunSettings

__all__ = ["tables"]

_HEADER = "| setting | default | values | meaning |\n| --- | --- | --- | --- |"
_INTRODUCTION = """\
# Settings

Every setting of a run and of each search method, as the command line (`--batch-size`), `--config` files
(`batch_size`), the app and `RunSettings` take them. This page is generated from their declarations
(`make settings`)."""


def tables() -> str:
    """Return the page: settings of all runs by group, then those of each method."""
    groups: dict[str, list[Setting]] = {}
    for field in RunSettings.fields().values():
        groups.setdefault(field.group, []).append(field)
    parts = [_INTRODUCTION]
    for group, fields in groups.items():
        parts.append("\n".join([f"## {group}", "", _HEADER, *_rows(fields)]))
    for name, method in METHODS.items():
        caution = f" {method.caution}" if method.caution else ""
        text = f"{method.summary}{caution} {method.citation}."
        fields = list(method.fields().values())
        parts.append("\n".join([f"## `--method {name}`", "", text, "", _HEADER, *_rows(fields)]))
    return "\n\n".join(parts) + "\n"


def _rows(fields: Iterable[Setting]) -> Iterator[str]:
    for field in fields:
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        source = f" ({field.source})" if field.source else ""
        cells = (f"`{field.name}`", default, field.describe(), field.help.rstrip(".") + source)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.stdout.write(tables())
