"""Add the documents of the repository's root to the pages, and keep links inside the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#]+)(#[^)]*)?\)")


def relink(text: str, folder: Path) -> str:
    """Return Markdown whose links to pages lead there, and whose links to other files name them as code.

    The site holds no source files, and the repository has no address that would hold on every host.
    """

    def one(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        path = (folder / target).resolve()
        if path.is_relative_to(ROOT / "docs"):
            return f"[{words}]({path.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        name = path.relative_to(ROOT).as_posix()
        if name in DOCUMENTS:
            return f"[{words}]({DOCUMENTS[name]}{anchor})"
        if not path.exists():
            raise ValueError(f"a link leads to {name}, which does not exist")
        return words if name in words else f"{words} (`{name}`)"

    return LINK.sub(one, text)


def on_files(files: Files, *, config: Any) -> Files:
    """Add the documents of the root as pages."""
    for name, page in DOCUMENTS.items():
        files.append(File.generated(config, page, content=relink((ROOT / name).read_text(), ROOT)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Keep the links of a page of the top folder inside the documentation."""
    source = ROOT / "docs" / page.file.src_uri
    return relink(markdown, source.parent) if source.parent == ROOT / "docs" and source.exists() else markdown
