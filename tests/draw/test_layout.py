from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from nasviz.draw import segment_dot, segment_view
from nasviz.draw.layout import Engine, find_engine
from nasviz.draw.layout import layout as lay_out
from nasviz.draw.layout_cache import LayoutCache, cache_folder
from nasviz.errors import LayoutError
from nasviz.graph import search_space
from tests.graph.networks import demonet

SMALL = 'digraph { a [id="n0"] b [id="n1"] a -> b [id="e0"] }'
BROKEN = Engine("broken", (sys.executable, "-c", "import sys; sys.exit('out of luck')"))

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the program `dot` is not installed")


@pytest.fixture
def cache(tmp_path: Path) -> LayoutCache:
    return LayoutCache(tmp_path / "layouts")


def test_a_layout_is_an_svg_with_the_ids_of_the_drawing(cache: LayoutCache) -> None:
    svg = lay_out(SMALL, cache=cache)
    assert svg.startswith("<svg")
    assert all(f'id="{name}"' in svg for name in ("n0", "n1", "e0"))


def test_what_was_laid_out_once_is_not_laid_out_again(cache: LayoutCache) -> None:
    engine = find_engine()
    first = lay_out(SMALL, cache=cache)
    cannot_work = Engine(engine.name, BROKEN.command)
    assert lay_out(SMALL, cache=cache, engine=cannot_work) == first


def test_another_engine_or_another_text_is_another_layout(cache: LayoutCache) -> None:
    lay_out(SMALL, cache=cache)
    with pytest.raises(LayoutError, match="out of luck"):
        lay_out(SMALL, cache=cache, engine=BROKEN)
    cannot_work = Engine(find_engine().name, BROKEN.command)
    with pytest.raises(LayoutError, match="code 1"):
        lay_out(f"{SMALL} ", cache=cache, engine=cannot_work)


@pytest.mark.parametrize("damage", ["", "<svg", "no svg at all</svg>"])
def test_a_damaged_entry_is_laid_out_again(cache: LayoutCache, damage: str) -> None:
    whole = lay_out(SMALL, cache=cache)
    (entry,) = cache.folder.iterdir()
    entry.write_text(damage)
    assert lay_out(SMALL, cache=cache) == whole
    assert entry.read_text() == whole


def test_the_cache_never_outgrows_its_limit_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = LayoutCache(tmp_path, limit_mb=0.01)
    svg = f"<svg>{'x' * 3000}</svg>"
    for number in range(3):
        cache.put(f"k{number}", svg)
        os.utime(tmp_path / f"k{number}.svg", (number, number))
    assert cache.get("k0") == svg  # now the one that was used last
    cache.put("k3", svg)
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["k0", "k2", "k3"]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    assert lay_out(SMALL, cache=LayoutCache(file / "layouts")).startswith("<svg")


def test_the_cache_lies_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nasviz" / "layouts"


def test_without_dot_on_the_path_pygraphviz_lays_out(
    cache: LayoutCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pygraphviz", reason="pygraphviz is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_engine().name.startswith("pygraphviz")
    svg = lay_out(segment_dot(search_space(demonet())), cache=cache)
    assert 'id="n14"' in svg


def test_without_any_engine_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("nasviz.draw.layout.version", _no_package)
    with pytest.raises(LayoutError, match="install Graphviz"):
        find_engine()


def _no_package(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def test_without_a_layout_a_view_still_has_its_table_and_says_why(
    cache: LayoutCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasviz.draw.layout.find_engine", lambda: BROKEN)
    view = segment_view(search_space(demonet()), cache=cache)
    assert view.svg == ""
    assert "out of luck" in view.note
    assert len(view.table()) == 15


@needs_dot
def test_a_layout_that_takes_too_long_is_ended(cache: LayoutCache, tmp_path: Path) -> None:
    marker = tmp_path / "still-running"
    code = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(marker)!r}).touch()"
    with pytest.raises(LayoutError, match=r"limit of 0\.2 s"):
        lay_out(SMALL, cache=cache, limit_s=0.2, engine=Engine("slow", (sys.executable, "-c", code)))
    assert not marker.exists()
    assert not cache.folder.exists()


def test_an_engine_that_is_no_program_is_a_layout_error(cache: LayoutCache, tmp_path: Path) -> None:
    empty = tmp_path / "dot"
    empty.write_text("")
    empty.chmod(stat.S_IRUSR)
    with pytest.raises(LayoutError, match="could not be started"):
        lay_out(SMALL, cache=cache, engine=Engine("none", (str(empty),)))
