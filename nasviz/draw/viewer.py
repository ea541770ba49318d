"""Scripts and style sheets of the graph viewer, for a page and for a report that is read without a server.

The palette becomes custom properties here, so colours are written down once, in `palette.py`.
"""

from __future__ import annotations

from pathlib import Path

from nasviz.draw.palette import CIVIDIS, ROLES, STATES, VIRIDIS

__all__ = ["GRAPH_SCRIPTS", "script", "style_sheet"]

GRAPH_SCRIPTS = ("svg.js", "camera.js", "panel.js", "packed.js", "graph.js")
"""In this order they make up the graph viewer."""

_FOLDER = Path(__file__).parents[1] / "ui" / "component"


def script(*names: str) -> str:
    """Files of the components in one text; the last of them exports what mounts it."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def style_sheet(root: str, file: str) -> str:
    """The style sheet of one component, whose outermost element has the class `root`."""
    marks = [*(("f", m) for m in ROLES.values()), *(("s", m) for m in STATES.values())]
    light = ";".join(f"--{kind}-{m.name}:{m.light}" for kind, m in marks)
    dark = ";".join(f"--{kind}-{m.name}:{m.dark}" for kind, m in marks)
    scales = {"cividis": CIVIDIS, "viridis": VIRIDIS}
    steps = [(name, n, colour) for name, colours in scales.items() for n, colour in enumerate(colours)]
    bins = ";".join(f"--{name}-b{n}:{colour}" for name, n, colour in steps)
    rules = [f".{root}{{{light};{bins}}}", f".{root}.dark{{{dark}}}"]
    rules += [f".{name},.f-{name}{{--fill:var(--f-{name})}}" for name in ROLES]
    for name, n, colour in steps:
        rules.append(f"[data-scale={name}] .b{n}{{--bin:{colour};--on-bin:{_ink(colour)}}}")
    return "\n".join([*rules, script(file)])


def _ink(colour: str) -> str:
    """Black or white, whichever is read more easily on this colour."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "#ffffff" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "#111827"
