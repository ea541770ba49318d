"""axe-core on every page, light and dark: nothing serious, but for what Streamlit alone could mend."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from nasviz.runs import Run
from nasviz.ui.frame import pages
from tests.browser.conftest import PATIENCE_MS, Server, settle, show

SERIOUS = ("serious", "critical")
EXCUSED: dict[tuple[str, str], str] = {}
"""Rule and selector (a pattern) of what lies inside widgets of Streamlit, and why it stays so."""


@pytest.fixture(params=["light", "dark"])
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Page, str]]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme=request.param)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page, request.param
    context.close()


def addresses(run: Run) -> dict[str, str]:
    """Every page, with something on it."""
    paths = {page.title: page.script.removeprefix("pages/").removesuffix(".py") for page in pages().values()}
    paths["Start"] = ""
    found = {title: f"{path}?model=demonet&set.width=0.1&input=1x8x8" for title, path in paths.items()}
    found |= {title: f"{paths[title]}?run={run.id}" for title in ("Sub-network", "Export")}
    return found | {"Replay": f"Search_and_train?run={run.id}"}


def violations(page: Page, theme: str) -> list[str]:
    """What is serious and not excused. In the dark only colours can differ."""
    options = {"resultTypes": ["violations"]}
    if theme == "dark":
        options["runOnly"] = ["color-contrast"]
    found = []
    for rule in Axe().run(page, options=options).response["violations"]:
        for node in rule["nodes"] if rule["impact"] in SERIOUS else ():
            target = " ".join(map(str, node["target"]))
            if not any(rule["id"] == name and re.search(part, target) for name, part in EXCUSED):
                found.append(f"{rule['id']}: …{target[-120:]}: {node['html'][:120]}")
    return found


def test_no_page_has_a_serious_violation(server: Server, done: Run, themed: tuple[Page, str]) -> None:
    page, theme = themed
    found = {}
    for title, address in addresses(done).items():
        show(page, server, address)
        if title == "Export":
            expect(page.get_by_text("Read back and compared")).to_be_visible()
        elif title not in ("Start", "Model", "Runs", "Learn"):
            expect(page.locator(".nasviz-graph .node").first).to_be_visible()
        settle(page)
        found |= {f"{title}: {words}": theme for words in violations(page, theme)}
    assert not found, "\n".join(found)
