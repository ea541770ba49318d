"""How many files a change takes: the worked examples alone, and what stands in nasviz itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasviz import jobs
from nasviz.ui import frame, pages
from nasviz.ui.options import options

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "extending"
ONE_FILE = {
    "network.py": "two_branches",
    "dataset.py": "stripes",
    "norm_saliency.py": "norm",
    "own_dhspg.py": "connected_dhspg",
    "magnitude_pruning.py": "magnitude_pruning",
}
"""Examples that each register one name, and need no other file; tests/subnet has the one of an operator."""
LOADER = """
import json, sys
from nasviz import catalog, extensions, settings
tables = catalog.NETWORKS, catalog.DATASETS, catalog.SALIENCIES, settings.METHODS
known = lambda: {name for table in tables for name in table}
found = {}
for file in sys.argv[1:]:
    before = known()
    extensions.load_extension(file)
    found[file] = sorted(known() - before)
print(json.dumps(found))
"""


def test_each_kind_of_extension_is_one_file() -> None:
    files = [str(EXAMPLES / name) for name in ONE_FILE]
    done = subprocess.run(
        [sys.executable, "-c", LOADER, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {str(EXAMPLES / file): [name] for file, name in ONE_FILE.items()}


def test_a_network_and_a_saliency_of_nasviz_are_a_declaration_and_a_module() -> None:
    texts = {p.relative_to(ROOT).as_posix(): p.read_text() for p in (ROOT / "nasviz").rglob("*.py")}
    for name, files in {
        "regnet_800m": {"nasviz/catalog/zoo.py", "nasviz/models/regnet_800m.py"},
        "synflow": {"nasviz/catalog/saliencies.py", "nasviz/saliency/synflow.py"},
    }.items():
        word = re.compile(rf"\b{name}\b")
        found = {file for file, text in texts.items() if word.search(text)}
        assert found - {"nasviz/catalog/presets.py"} == files  # a published table may use a network


def test_a_page_is_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "pages", tmp_path / "pages")
    shutil.copy(ROOT / "app.py", tmp_path)
    (tmp_path / "pages" / "Hello.py").write_text(
        '"""Say hello."""\n\nfrom nasviz.ui import frame\n\nframe.show("Hello")\n'
    )
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "hello.py").write_text(
        "import streamlit as st\nfrom nasviz.ui import frame\n"
        "@frame.Page('Hello', 99, icon=':material/waving_hand:', invitation='Hello', followed_by=('Runs',))\n"
        "def hello():\n    st.markdown('Hello, world')\n"
    )
    frame.pages()  # declares the pages of nasviz before the table is replaced
    monkeypatch.setattr(pages, "__path__", [*pages.__path__, str(tmp_path / "room")])
    monkeypatch.setattr(frame, "_declared", dict(frame._declared))
    monkeypatch.setattr(jobs, "warm_up", lambda: None)
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path / "runs")])
    frame.pages.cache_clear()
    options.cache_clear()
    try:
        app = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=60)
        app = app.switch_page("pages/Hello.py").run()
        assert not app.exception
        assert app.header[0].value == "Hello"
        assert "Hello, world" in [text.value for text in app.markdown]
        assert list(frame.pages())[-1] == "Hello"
    finally:
        frame.pages.cache_clear()
        options.cache_clear()
        sys.modules.pop("nasviz.ui.pages.hello", None)
