"""Style sheets of the components: the palette as custom properties, then the file beside this one."""

from __future__ import annotations

from pathlib import Path

from nasviz.draw.palette import CIVIDIS, ROLES, STATES, VIRIDIS

__all__ = ["read", "sheet"]

_FOLDER = Path(__file__).parent


def read(name: str) -> str:
    """A file of this folder. It has several lines: Streamlit takes a single line for a path."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def sheet(root: str, file: str) -> str:
    """The style sheet of one component, whose outermost element has the class `root`."""
    light = [f"--f-{m.name}:{m.light}" for m in ROLES.values()]
    light += [f"--s-{m.name}:{m.light}" for m in STATES.values()]
    dark = [f"--f-{m.name}:{m.dark}" for m in ROLES.values()]
    dark += [f"--s-{m.name}:{m.dark}" for m in STATES.values()]
    rules = [f".{root}{{{';'.join(light)};{_bins()}}}", f".{root}.dark{{{';'.join(dark)}}}"]
    rules += [f".{name},.f-{name}{{--fill:var(--f-{name})}}" for name in ROLES]
    for scale, colours in (("cividis", CIVIDIS), ("viridis", VIRIDIS)):
        for number, colour in enumerate(colours):
            ink = "#ffffff" if _lightness(colour) < 0.5 else "#111827"
            rules.append(f"[data-scale={scale}] .b{number}{{--bin:{colour};--on-bin:{ink}}}")
    return "\n".join([*rules, read(file)])


def _bins() -> str:
    scales = (("cividis", CIVIDIS), ("viridis", VIRIDIS))
    return ";".join(f"--{scale}-b{n}:{c}" for scale, colours in scales for n, c in enumerate(colours))


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue
