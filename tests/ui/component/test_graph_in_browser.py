from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

Visit = Callable[..., Page]


def node(page: Page, title: str) -> Locator:
    return page.locator(f'.nasviz-graph .node[aria-label^="{title},"]')


def transform(page: Page, number: int = 0) -> tuple[float, float, float]:
    """x, y and scale of a graph view."""
    text = page.locator(".nasviz-graph .graph").nth(number).get_attribute("transform") or ""
    x, y, k = re.findall(r"-?\d[-\d.e]*", text)
    return float(x), float(y), float(k)


def count_mutations(page: Page) -> None:
    """From now on count elements that are added to or taken from the first graph view."""
    page.locator(".nasviz-graph").first.evaluate(
        """root => {
            root.mutations = 0;
            new MutationObserver(list => { root.mutations += list.length; })
              .observe(root, { childList: true, subtree: true });
        }"""
    )


def mutations(page: Page) -> int:
    return page.locator(".nasviz-graph").first.evaluate("root => root.mutations")


def test_every_vertex_is_on_the_page_with_a_name_for_readers(visit: Visit) -> None:
    page = visit("graph")
    expect(page.locator(".nasviz-graph .node")).to_have_count(27)
    labels = [n.get_attribute("aria-label") for n in page.locator(".nasviz-graph .node").all()]
    assert all(labels)
    assert len(set(labels)) == len(labels)
    expect(page.locator(".nasviz-graph [tabindex]")).to_have_count(1)
    expect(page.locator(".nasviz-graph .legend")).to_contain_text("joint")


def test_a_click_chooses_and_python_hears_of_it(visit: Visit) -> None:
    page = visit("graph")
    node(page, "conv3").click()
    expect(page.get_by_text("selected conv3")).to_be_visible()
    panel = page.locator(".nasviz-graph .panel")
    expect(panel).to_contain_text("25,432 (conv3.weight 88×32×3×3; conv3.bias 88)")
    expect(panel).to_contain_text("can be erased (structure 2)")
    page.locator(".nasviz-graph .stage").press("Escape")
    expect(page.get_by_text("selected None")).to_be_visible()
    expect(panel).to_be_hidden()


def test_a_reason_stands_beside_what_cannot_go(visit: Visit) -> None:
    page = visit("graph")
    node(page, "relu1").click()
    expect(page.locator(".nasviz-graph .panel")).to_contain_text("stays: conv2-bn2 needs its value")


def test_the_panel_tells_what_goes_with_it_its_history_and_how_to_protect_it(visit: Visit) -> None:
    page = visit("graph")
    node(page, "conv3").click()
    panel = page.locator(".nasviz-graph .panel")
    expect(panel).to_contain_text("conv6.weight columns 88-175")
    expect(panel).to_contain_text("25,608 parameters: conv3.weight 88×32×3×3")
    expect(panel).to_contain_text("5 lead here, 13 depend on it")
    expect(panel.locator(".spark")).to_have_attribute("aria-label", re.compile("^Saliency from step 0 to 29"))
    panel.get_by_role("switch", name="Protect it from removal").click()
    expect(page.get_by_text("turned conv3")).to_be_visible()
    node(page, "relu1").click()
    expect(panel.locator("h3")).to_have_text("relu1")
    expect(panel.get_by_role("switch")).to_have_count(0)


def test_name_and_address_of_a_vertex_are_copied(visit: Visit) -> None:
    page = visit("graph", permissions=["clipboard-read", "clipboard-write"])
    node(page, "conv3").click()
    panel = page.locator(".nasviz-graph .panel")
    panel.get_by_role("button", name="Copy name").click()
    expect(panel.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == "conv3"
    panel.get_by_role("button", name="Copy an address").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes('vertex=conv3')")


def test_python_chooses_and_the_graph_follows(visit: Visit) -> None:
    page = visit("graph")
    page.get_by_role("combobox").click()
    page.get_by_role("option", name="bn8").click()
    expect(page.locator(".nasviz-graph .panel h3")).to_have_text("bn8")
    assert "chosen" in (node(page, "bn8").get_attribute("class") or "")


def test_the_wheel_zooms_a_graph_that_was_clicked_and_dragging_pans(visit: Visit) -> None:
    page = visit("graph")
    box = page.locator(".nasviz-graph .paper").bounding_box()
    assert box is not None
    x, y = box["x"] + 12, box["y"] + 300  # next to the drawing
    page.mouse.move(x, y)
    before = transform(page)
    page.mouse.wheel(0, -240)
    expect(page.locator(".nasviz-graph .stage")).to_have_class("stage passed")
    assert transform(page) == before  # whoever scrolls past it leaves it as it is
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    page.wait_for_timeout(200)
    held = transform(page)
    assert held[2] > before[2] * 1.2
    page.mouse.click(x, y)
    page.mouse.wheel(0, 120)
    page.wait_for_timeout(200)
    zoomed = transform(page)
    assert zoomed[2] < held[2]
    page.mouse.down()
    page.mouse.move(x + 60, y - 40, steps=5)
    page.mouse.up()
    panned = transform(page)
    assert (panned[0] - zoomed[0], panned[1] - zoomed[1]) == pytest.approx((60, -40), abs=0.5)
    expect(page.locator(".nasviz-graph .panel")).to_be_hidden()


def test_keys_zoom_fit_walk_along_edges_and_search(visit: Visit) -> None:
    page = visit("graph")
    stage = page.locator(".nasviz-graph .stage")
    stage.focus()
    start = transform(page)
    stage.press("+")
    assert transform(page)[2] == pytest.approx(start[2] * 1.25)
    stage.press("-")
    assert transform(page)[2] == pytest.approx(start[2])
    stage.press("f")
    fitted = transform(page)
    assert fitted[2] < start[2]
    stage.press("0")
    assert transform(page) == pytest.approx(start)
    walked = []
    title = page.locator(".nasviz-graph .panel h3")
    for key in ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight"]:
        stage.press(key)
        walked.append(title.inner_text())
    assert walked[:4] == ["x", "conv1", "bn1", "relu1"]
    assert walked[4] in ("maxpool", "conv2", "avgpool")
    assert walked[5] == "relu1"
    stage.press("/")
    expect(page.locator(".nasviz-graph input")).to_be_focused()


def test_search_reads_a_regular_expression_and_enter_goes_round(visit: Visit) -> None:
    page = visit("graph")
    box = page.locator(".nasviz-graph input")
    box.fill("^conv[678] ")
    expect(page.locator(".nasviz-graph .node.hit")).to_have_count(3)
    titles = []
    for _ in range(4):
        box.press("Enter")
        titles.append(page.locator(".nasviz-graph .panel h3").inner_text())
    assert titles == ["conv6", "conv7", "conv8", "conv6"]
    expect(page.locator(".nasviz-graph .count")).to_have_text("1 of 3")
    centre = node(page, "conv6").bounding_box()
    stage = page.locator(".nasviz-graph .stage").bounding_box()
    assert centre is not None
    assert stage is not None
    assert abs(centre["y"] + centre["height"] / 2 - stage["y"] - stage["height"] / 2) < 30
    box.fill("conv[")
    expect(page.locator(".nasviz-graph .count")).to_have_text("not a regular expression")
    box.press("Escape")
    expect(page.locator(".nasviz-graph .node.hit")).to_have_count(0)
    expect(page.locator(".nasviz-graph .stage")).to_be_focused()


def test_overlays_recolour_without_adding_or_removing_an_element(visit: Visit) -> None:
    page = visit("graph", reduced_motion="reduce")
    count_mutations(page)
    where = transform(page)
    fills = []
    for name in ("scores", "plan", "protected", "none"):
        page.get_by_text(name, exact=True).click()
        state = {"scores": "binned", "plan": "s-erased", "protected": "s-protected", "none": "s-erased"}[name]
        number = {"scores": 13, "plan": 7, "protected": 2, "none": 0}[name]
        expect(page.locator(f".nasviz-graph .node.{state}")).to_have_count(number)
        fills.append(node(page, "conv2").locator("path").evaluate("e => getComputedStyle(e).fill"))
    assert mutations(page) == 0
    assert transform(page) == where
    assert fills[0] != fills[3]


def test_erased_is_dashed_and_struck_so_colour_is_not_needed(visit: Visit) -> None:
    page = visit("graph")
    page.get_by_text("plan", exact=True).click()
    expect(page.locator(".nasviz-graph .node.s-erased")).to_have_count(7)
    outline = node(page, "conv2").locator("path")
    assert outline.evaluate("e => getComputedStyle(e).strokeDasharray") != "none"
    text = node(page, "conv2").locator("text").first
    assert "line-through" in text.evaluate("e => getComputedStyle(e).textDecorationLine")
    assert "hatch" in node(page, "conv6").locator("path").evaluate("e => getComputedStyle(e).fill")
    page.locator('.nasviz-graph [data-do="fit"]').click()
    node(page, "conv6").click()
    expect(page.locator(".nasviz-graph .panel .note")).to_have_text("conv6.weight loses columns 0-175")


def test_pointing_shows_what_leads_there_and_what_depends_on_it(visit: Visit) -> None:
    page = visit("graph")
    node(page, "conv3").hover()
    expect(page.locator(".nasviz-graph.fade")).to_have_count(1)
    classes = {
        t: node(page, t).get_attribute("class") or "" for t in ("conv1", "maxpool", "concat", "conv2", "add1")
    }
    assert "up" in classes["conv1"].split()
    assert "up" in classes["maxpool"].split()
    assert "down" in classes["concat"].split()
    assert not {"up", "down"} & set(classes["conv2"].split() + classes["add1"].split())
    expect(page.locator(".nasviz-graph .tip")).to_contain_text("conv3")


def test_modules_open_and_close_by_mouse_and_by_keys_and_stay_in_place(visit: Visit) -> None:
    page = visit("modules")
    module = page.locator('.nasviz-graph .node.stack[aria-label^="stages.1"]')
    where = module.bounding_box()
    module.dblclick()
    frame = page.locator(".nasviz-graph .cluster text", has_text="1 · Sequential")
    expect(frame).to_be_visible()
    now = frame.bounding_box()
    assert where is not None
    assert now is not None
    assert abs(now["y"] - where["y"]) < 30
    frame.click()
    expect(module).to_be_visible()
    module.click()
    stage = page.locator(".nasviz-graph .stage")
    stage.press("Enter")
    expect(frame).to_be_visible()
    page.locator('.nasviz-graph .node.stack[aria-label^="stages.1.blocks"]').first.click()
    stage.press("Shift+Enter")
    expect(module).to_be_visible()


def test_two_graphs_move_in_step(visit: Visit) -> None:
    page = visit("pair")
    page.locator(".nasviz-graph .node").nth(30).wait_for()
    assert transform(page, 0)[2] == transform(page, 1)[2]
    page.locator('.nasviz-graph [data-do="fit"]').last.click()
    assert transform(page, 0)[2] == transform(page, 1)[2]
    stage = page.locator(".nasviz-graph .stage").first
    large, room = page.locator(".nasviz-graph .graph").first.bounding_box(), stage.bounding_box()
    assert large is not None
    assert room is not None
    assert room["y"] <= large["y"]  # the larger graph is all to be seen
    assert large["y"] + large["height"] <= room["y"] + room["height"]
    assert room["x"] <= large["x"]
    assert large["x"] + large["width"] <= room["x"] + room["width"]
    stage.focus()
    before = transform(page, 1)
    stage.press("+")
    stage.press("+")
    assert transform(page, 1)[2] == pytest.approx(before[2] * 1.25**2, rel=1e-3)
    assert transform(page, 0)[2] == transform(page, 1)[2]
    expect(page.locator(".nasviz-graph").nth(0).locator(".node.s-erased")).to_have_count(0)
    expect(page.locator(".nasviz-graph").nth(1).locator(".node.s-erased")).to_have_count(1)


def test_what_is_seen_can_be_saved(visit: Visit) -> None:
    page = visit("graph")
    for ending, start in {"svg": b"<svg", "png": b"\x89PNG", "dot": b"digraph"}.items():
        page.locator(".nasviz-graph .menu summary").click()
        with page.expect_download() as saved:
            page.locator(f'.nasviz-graph [data-do="{ending}"]').click()
        assert saved.value.suggested_filename == f"Trace_graph_of_DemoNet.{ending}"
        assert saved.value.path().read_bytes().startswith(start)


def test_dark_pages_get_dark_colours(visit: Visit) -> None:
    page = visit("graph", color_scheme="dark")
    expect(page.locator(".nasviz-graph.dark")).to_have_count(1)
    fill = node(page, "conv1").locator("path").evaluate("e => getComputedStyle(e).fill")
    assert max(int(c) for c in re.findall(r"\d+", fill)[:3]) < 128


def test_nothing_moves_by_itself_for_who_asked_for_less_motion(visit: Visit) -> None:
    page = visit("graph", reduced_motion="reduce")
    duration = node(page, "conv1").locator("path").evaluate("e => getComputedStyle(e).transitionDuration")
    assert duration in ("0s", "")


def test_scripts_in_an_svg_are_not_let_in(visit: Visit) -> None:
    page = visit("graph")
    assert page.locator(".nasviz-graph svg script, .nasviz-graph svg a, .nasviz-graph svg image").count() == 0
    names = page.locator(".nasviz-graph .paper *").evaluate_all(
        "all => [...new Set(all.flatMap(e => e.getAttributeNames()))].filter(n => /^on|href|style/.test(n))"
    )
    assert names == []
