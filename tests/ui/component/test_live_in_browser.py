from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

Visit = Callable[..., Page]


def test_a_run_is_followed_without_flicker_and_colours_the_graph(visit: Visit) -> None:
    page = visit("live")
    live = page.locator(".nasviz-live")
    expect(live.locator("canvas.curve")).to_have_count(4)
    live.evaluate(
        """root => {
            root.mutations = 0;
            new MutationObserver(list => { root.mutations += list.length; })
              .observe(root, { childList: true, subtree: true });
        }"""
    )
    graph = page.locator(".nasviz-graph")
    graph.evaluate(
        """root => {
            root.mutations = 0;
            new MutationObserver(list => { root.mutations += list.length; })
              .observe(root, { childList: true, subtree: true });
        }"""
    )
    first = live.locator(".said").inner_text()
    expect(graph.locator(".node.binned")).to_have_count(6)
    expect(live.locator(".said")).not_to_have_text(first)
    expect(live.locator(".said")).to_have_text("training · step 400 of 400")
    assert graph.evaluate("root => root.mutations") == 0
    # Facts and events come into being once each; refreshes after that change text only.
    assert live.evaluate("root => root.mutations") < 30


def test_curves_are_drawn_and_say_their_value_to_readers(visit: Visit) -> None:
    page = visit("live")
    curve = page.locator(".nasviz-live canvas.curve").first
    expect(curve).to_have_attribute("aria-label", "Loss, now 0.0025")
    painted = curve.evaluate(
        """c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data
            .some((value, i) => i % 4 === 3 && value > 0)"""
    )
    assert painted


def test_a_row_of_the_heat_map_can_be_chosen(visit: Visit) -> None:
    page = visit("live")
    expect(page.locator(".nasviz-live .said")).to_have_text("training · step 400 of 400")
    heat = page.locator(".nasviz-live .heat canvas")
    heat.hover(position={"x": 200, "y": 26 + 21 * 2 + 8})
    expect(page.locator(".nasviz-live .tip")).to_contain_text("conv4-bn4")
    heat.click(position={"x": 200, "y": 26 + 21 * 2 + 8})
    expect(page.get_by_text("row 2")).to_be_visible()
