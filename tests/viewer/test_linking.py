from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from nasviz.draw import viewer
from nasviz.draw.viewer import link_modules, script
from nasviz.errors import ViewerError

FOLDER = Path(viewer.__file__).parent
COMPONENTS = ["graph.js", "live.js", "plane.js", "overlay.js", "feed.js", "widget.js"]
IMPORT = (
    "async text => (await import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})))).default"
)

TRICKY = {
    "entry.js": """// A header with import { nothing } from "./nowhere.js";
/* and
   import { nothing } from "./nowhere.js"; */
import { count, value as other } from "./left.js";
import {
  count as rightCount,
} from "./right.js";

const value = "private here";
const text = `
import { fake } from "./fake.js";
export { fake };
`;
const all = [count, other, rightCount, value, text.includes("export { fake };")];

export { all as default };
""",
    "left.js": 'import { shared } from "./shared.js";\nconst value = "left";\nconst count = shared.push(1);\n'
    "export { count, value };",
    "right.js": 'import { shared } from "./shared.js";\nconst value = 2;\nconst count = shared.push(value);\n'
    "export { count };\n",
    "shared.js": "const value = 0;\nconst shared = [];\n\nexport { shared };\n",
}


def evaluate(browser: Browser, text: str) -> Any:
    """Import a text as a module from a blob, which is what Streamlit does with the script of a component."""
    context = browser.new_context()
    try:
        return context.new_page().evaluate(IMPORT, text)
    finally:
        context.close()


def test_linked_modules_run_once_in_order_and_keep_their_private_names(browser: Browser) -> None:
    linked = link_modules(TRICKY, "entry.js")
    assert evaluate(browser, linked) == [1, "left", 2, "private here", True]


@pytest.mark.parametrize(
    "statement", ['import { a } from "./left.js";', "export { text };", "export default 1;"]
)
def test_an_import_or_export_in_the_middle_is_a_syntax_error_and_not_dropped(
    browser: Browser, statement: str
) -> None:
    text = f"const text = 1;\n{statement}\nconst more = 2;\nexport {{ more as default }};\n"
    linked = link_modules({**TRICKY, "middle.js": text}, "middle.js")
    with pytest.raises(Exception, match="SyntaxError"):
        evaluate(browser, linked)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_is_one_module_that_exports_a_function(browser: Browser, name: str) -> None:
    context = browser.new_context()
    try:
        kind = context.new_page().evaluate(f"async text => typeof await ({IMPORT})(text)", script(name))
    finally:
        context.close()
    assert kind == "function"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import value from "./left.js";', "is not of the form"),
        ('import * as left from "./left.js";', "is not of the form"),
        ('import "./left.js";', "is not of the form"),
        ('import { value } from "left.js";', "is not of the form"),
        ('import { value } from "../left.js";', "is not of the form"),
        ('import { value } from "https://example.org/left.js";', "is not of the form"),
        ('const later = await import("./left.js");', None),
        ('import("./left.js");', "is not of the form"),
        ('import { missing } from "./left.js";', "imports missing from left.js"),
        ('import { value } from "./nowhere.js";', "imports nowhere.js, which does not exist"),
        ('import { valid } from "./entry.js";', "circular import"),
        ('import { "a-b" as valid } from "./left.js";', "is not a name"),
    ],
)
def test_what_the_linker_does_not_read_is_refused(text: str, message: str | None) -> None:
    modules = {**TRICKY, "entry.js": f"{text}\nexport {{ valid }};\n"}
    if message is None:
        link_modules(modules, "entry.js")
        return
    with pytest.raises(ViewerError, match=message):
        link_modules(modules, "entry.js")


def test_a_circle_of_modules_is_named() -> None:
    modules = {
        "a.js": 'import { b } from "./b.js";\nconst a = b;\nexport { a };',
        "b.js": 'import { a } from "./a.js";\nconst b = a;\nexport { b };',
    }
    with pytest.raises(ViewerError, match=r"a\.js -> b\.js -> a\.js"):
        link_modules(modules, "a.js")


def test_every_module_is_part_of_a_component_or_of_a_page() -> None:
    linked = "".join(script(name) for name in [*COMPONENTS, "report.js", "replay.js"])
    modules = {path.stem.replace("-", "_") for path in FOLDER.glob("*.js")}
    assert {name for name in modules if f"$nasviz.{name} =" not in linked} == set()


def test_what_is_sent_with_every_refresh_is_small() -> None:
    assert len(script("feed.js")) < 2_500
    assert len(script("overlay.js")) < 2_500


def test_no_module_reaches_outside_the_page() -> None:
    for path in FOLDER.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for word in ("eval(", "new Function", "fetch(", "XMLHttpRequest", "WebSocket", "import("):
            found = [
                line
                for line in text.splitlines()
                if word in line and not line.strip().startswith(("*", "/*"))
            ]
            assert [line for line in found if "@typ" not in line and "@param" not in line] == [], path.name
