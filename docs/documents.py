"""Write docs/documents.md from docs/documents.yaml: `make documents`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
INTRODUCTION = """# The documents

nasviz implements five publications. This page lists row by row what they contain: *done*, with a test, a page
of the app or a published table as evidence, *refused* with a reason, or *open*. It is written by
`make documents` from `docs/documents.yaml`.
"""


def read() -> list[dict[str, Any]]:
    """Return the documents with their rows."""
    documents: list[dict[str, Any]] = yaml.safe_load((FOLDER / "documents.yaml").read_text(encoding="utf-8"))
    return documents


def rows(documents: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield the state of each row, its evidence or reason, and what the document has."""
    for document in documents:
        for part in document["parts"].values():
            for what, here, evidence in part:
                yield (here if here in ("refused", "open") else "done"), evidence, what


def markdown(documents: list[dict[str, Any]]) -> str:
    """Return the page."""
    counts = Counter(state for state, _, _ in rows(documents))
    total = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines = [INTRODUCTION, f"{sum(counts.values())} rows: {total}.", ""]
    for document in documents:
        lines += [f"## {document['document']}", "", f"{document['source']}.", ""]
        for title, part in document["parts"].items():
            lines += [f"### {title}", "", "| document | nasviz | evidence |", "| --- | --- | --- |"]
            lines += [_row(*row) for row in part]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(what: str, here: str, evidence: str) -> str:
    if here in ("refused", "open"):
        return f"| {what} | **{here}**: {evidence} | |"
    return f"| {what} | {here} | {', '.join(map(_evidence, evidence.split('; ')))} |"


def _evidence(text: str) -> str:
    if not re.fullmatch(r"\w+/test_\w+(::\w+)?", text):
        return text
    path, _, name = text.partition("::")
    return f"`tests/{path}.py`" + (f" {name.removeprefix('test_').replace('_', ' ')}" if name else "")


if __name__ == "__main__":
    (FOLDER / "documents.md").write_text(markdown(read()), encoding="utf-8")
