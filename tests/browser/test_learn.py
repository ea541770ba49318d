"""Learn in a browser: a lesson stepped through, and the tour that leads from page to page."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, on_page, picture, settle, show


def test_a_lesson_is_stepped_through_and_paints_the_graph(server: Server, page: Page) -> None:
    show(page, server, "Learn?model=demonet")
    page.get_by_role("button", name="Next lesson: Growing segments").click()
    expect(page.get_by_text("Segment 0 starts with")).to_be_visible()
    settle(page)
    step = page.locator("[class*=st-key-learn-step] button").filter(has_text="Next")
    step.click()
    expect(page.get_by_text("is the only consumer and not a joint")).to_be_visible()
    expect(page.locator(".nasviz-graph .node.s-current")).to_have_count(1)
    settle(page)
    picture(page, "learn")


def test_the_tour_leads_through_the_pages_and_ends_when_asked(server: Server, page: Page) -> None:
    show(page, server, "Learn?model=demonet")
    page.get_by_role("button", name="Start the tour").click()
    on_page(page, "Model")
    settle(page)
    page.get_by_role("button", name="Next stop").click()
    on_page(page, "Trace graph")
    settle(page)
    page.get_by_role("button", name="End tour").click()
    expect(page.get_by_role("button", name="End tour")).to_have_count(0)


def test_a_lesson_plays_by_itself(server: Server, page: Page) -> None:
    show(page, server, "Learn?model=demonet")
    page.get_by_role("button", name="Next lesson: Growing segments").click()
    expect(page.get_by_text("Segment 0 starts with")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_text("is the only consumer and not a joint")).to_be_visible()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_the_point_of_the_half_space_is_dragged_and_the_sliders_follow(server: Server, page: Page) -> None:
    show(page, server, "Learn?model=demonet")
    page.get_by_role("combobox", name="Lesson").click()
    page.get_by_role("option", name="Half-space projection").click()
    point = page.locator(".nasviz-plane .point")
    expect(point).to_be_visible()
    settle(page)
    unit = (page.locator(".nasviz-plane svg").bounding_box() or {})["width"] / 12.6
    box = point.bounding_box() or {}
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 2 * unit, y + 3 * unit, steps=4)
    page.mouse.up()
    expect(page.get_by_role("slider", name="First weight")).to_have_value("1")
    expect(page.get_by_role("slider", name="Second weight")).to_have_value("1")
    expect(page.get_by_text("< ε‖x‖² = 0: the group is set to zero")).to_be_visible()
    picture(page, "half-space")
