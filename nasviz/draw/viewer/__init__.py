"""The graph viewer in the browser: ES modules and style sheets, for pages and self-contained reports.

The modules need no build step. `script` links an entry module and its imports into one module, because
Streamlit passes the script of a component to the browser as a blob, in which relative imports cannot be
resolved.
"""

from pathlib import Path

from nasviz.draw.palette import CIVIDIS, ORIGINS, ROLES, STATES, VIRIDIS
from nasviz.draw.viewer.linking import link_modules, script

__all__ = ["link_modules", "script", "style_sheet"]


_FOLDER = Path(__file__).parent


def style_sheet(root: str, file: str) -> str:
    """Return the style sheet of a component whose root element has the class `root`."""
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
    # Cells keep their colour, whatever state their vertex is in; Graphviz gives them no class.
    rules.append(f'.{root} .node.table > polygon[fill="none"]{{fill:none!important}}')  # borders
    for light, dark in ORIGINS:
        cell = f'.node.table > polygon[fill="{light}"]{{fill:'
        rules += [f".{root} {cell}{light}!important}}", f".{root}.dark {cell}{dark}!important}}"]
    return "\n".join([*rules, (_FOLDER / file).read_text(encoding="utf-8")])


def _ink(colour: str) -> str:
    """Return black or white, whichever has more contrast on this colour."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "#ffffff" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "#111827"
