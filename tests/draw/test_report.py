from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nasviz.draw.report import Section, html_report, subnetwork_report
from nasviz.draw.search_charts import remaining_chart
from nasviz.draw.view import trace_view
from nasviz.graph import search_space
from nasviz.settings import METHODS, RunSettings
from tests.draw.networks import named
from tests.graph.networks import demonet

SPACE = search_space(demonet())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Outline(HTMLParser):
    """Elements of a document, with their addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def report() -> str:
    scores = {s.id: s.id / 10 for s in SPACE.removable}
    measured = {"max_relative_error": 1.5e-7, "accuracy_full": 0.91, "accuracy_subnet": 0.9}
    settings = RunSettings.of(network="demonet", method="dhspg", target_sparsity=3, lr=0.05, seed=7)
    plan = SPACE.plan([1, 2, 10])
    return subnetwork_report("DemoNet", SPACE, plan, measured=measured, settings=settings, scores=scores)


def test_a_report_names_the_method_and_its_settings() -> None:
    text = report()
    assert f"<dd>{METHODS['dhspg'].title}</dd>" in text
    for name, value in (("target_sparsity", "3"), ("lr", "0.05"), ("seed", "7"), ("method", "dhspg")):
        assert f"<td>{name}</td><td>{value}</td>" in text
    assert "0.91" not in text
    assert "91.0% → 90.0%" in text


def test_a_report_tells_what_is_saved_what_went_and_what_was_sliced() -> None:
    text = report()
    assert "817k → 447k (−45.3%)" in text or "817k → 447k (−45.2%)" in text
    assert "3 of 6" in text
    assert re.search(r"<td>conv6\.weight</td>.*?<td>0-175</td>", text)
    assert text.count("<td>selected</td>") == 3


def test_a_report_needs_nothing_but_itself() -> None:
    outline = Outline(report())
    assert outline.addresses == []
    assert "link" not in outline.tags
    assert "default-src 'none'" in report()


def test_the_same_sub_network_gives_the_same_report() -> None:
    assert report() == report()


def test_graphs_of_a_report_carry_their_data_as_json() -> None:
    blocks = re.findall(r'<script type="application/json" id="(.*?)">(.*?)</script>', report(), re.DOTALL)
    assert len(blocks) == 3
    for name, text in blocks:
        data = json.loads(text)
        assert data["graph"] == name
        assert data["svg"].startswith("<svg")


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;"]
)
def test_names_from_models_cannot_add_an_element(name: str) -> None:
    def outline(text: str) -> list[str]:
        view = trace_view(named(text, "b"))
        chart = remaining_chart({text: {text: (4, 2), "b": (4, 4)}, "other": {"b": (4, 1)}})
        section = Section(text, text, [(text, text)], [{"a": text}], view, chart=chart)
        return Outline(html_report(text, [section])).tags

    assert outline(name) == outline("tame")
