from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

Visit = Callable[..., Page]

COUNT = """root => {
    root.mutations = 0;
    new MutationObserver(list => { root.mutations += list.length; })
      .observe(root, { childList: true, subtree: true });
}"""
END = "training · step 400 of 400"


def go(page: Page) -> None:
    """Let the run begin; it stands at its first step until then, however slow the machine is."""
    page.get_by_text("go", exact=True).click()


def mutations(view: Locator) -> int:
    return view.evaluate("root => root.mutations")


def wait_for_refreshes(page: Page, number: int) -> None:
    """Wait until the view was refreshed so many times more."""
    said = page.get_by_text(re.compile(r"^refreshes \d+$"))
    goal = int(said.inner_text().split()[1]) + number
    page.wait_for_function(
        "goal => [...document.querySelectorAll('[data-testid=stText]')]"
        ".some(e => +(/^refreshes (\\d+)$/.exec(e.innerText) ?? [])[1] >= goal)",
        arg=goal,
    )


def test_a_run_is_followed_without_flicker_and_colours_the_graph(visit: Visit) -> None:
    page = visit("live")
    live, graph = page.locator(".nasviz-live"), page.locator(".nasviz-graph")
    expect(live.locator("canvas.curve")).to_have_count(4)
    graph.evaluate(COUNT)
    expect(live.locator(".said")).to_have_text("warm-up · step 1 of 400")
    go(page)
    expect(graph.locator(".node.binned")).to_have_count(6)
    expect(live.locator(".said")).to_have_text(END, timeout=30_000)
    assert mutations(graph) == 0
    # Facts and events have come into being: a refresh changes texts and pixels from now on, and no element.
    live.evaluate(COUNT)
    wait_for_refreshes(page, 3)
    assert mutations(live) == 0
    assert mutations(graph) == 0


def test_curves_are_drawn_and_say_their_value_to_readers(visit: Visit) -> None:
    page = visit("live")
    go(page)
    curve = page.locator(".nasviz-live canvas.curve").first
    expect(curve).to_have_attribute("aria-label", "Loss, now 0.0025")
    painted = curve.evaluate(
        """c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data
            .some((value, i) => i % 4 === 3 && value > 0)"""
    )
    assert painted


def test_a_row_of_the_heat_map_leads_to_the_vertex_on_the_graph(visit: Visit) -> None:
    page = visit("live")
    go(page)
    expect(page.locator(".nasviz-live .said")).to_have_text(END, timeout=30_000)
    heat = page.locator(".nasviz-live .heat canvas")
    place = {"x": 200, "y": 26 + 21 * 2 + 8}
    heat.hover(position=place)
    expect(page.locator(".nasviz-live .tip")).to_contain_text("conv4-bn4")
    page.evaluate("() => window.addEventListener('nasviz:choose', e => { window.asked = e.detail; })")
    heat.click(position=place)
    expect(page.get_by_text("row 2")).to_be_visible()
    assert page.evaluate("() => window.asked") == {"graph": "watched", "key": "2"}
    # In this run structures are numbered from 0: number 2 is maxpool-conv3-bn3 on the graph.
    expect(page.locator(".nasviz-graph .panel h3")).to_have_text("maxpool-conv3-bn3")
