"""Names and modules of the nodes of an ONNX file, all of it text that nobody vouches for.

Three conventions tell where in the network a node stands: the name of its weight (`layer1.0.conv1.weight`),
the path that its own name is (`/layer1/layer1.0/conv1/Conv`, torch's older exporter), and the property
`namespace` that torch's newer exporter writes, a chain of `path: class`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["Place", "first_line", "leaves", "modules_of", "place_of", "plain", "unique"]

LONGEST_NAME = 120
MOST_SCOPES = 24
_PARTS = ("weight", "bias", "kernel", "gamma", "W", "w")
"""What the last part of a weight's name is called, where the rest is the module's path."""
_PATH = re.compile(r"\w+(\.\w+)*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the network a node stands."""

    module: str = ""
    """Path of the module that it is; empty where it is none."""
    scope: tuple[str, ...] = ()
    """Paths around it, outermost first."""
    classes: tuple[tuple[str, str], ...] = ()
    """Path and class of the modules around it that the file names."""

    @property
    def prefix(self) -> str:
        """Path of the innermost module around it."""
        return self.scope[-1] if self.scope else ""


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    r"""Text without line breaks, control and direction characters, cut to a length.

    Examples:
        >>> plain("a\x1b[31mb\u202ec")
        'a�[31mb�c'
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def first_line(error: Exception) -> str:
    """Return what a library says of a file that may hold anything, in one plain line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return plain(lines[0] if lines else type(error).__name__, 200)


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with a number behind it where it is taken."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def place_of(weight: str, node: str, namespace: str) -> Place:
    """Return where a node stands, by the name of its weight, its own name and its property `namespace`.

    Examples:
        >>> place_of("layer1.0.conv1.weight", "", "").scope
        ('layer1', 'layer1.0')
        >>> place_of("", "/layer1/layer1.0/relu/Relu", "").scope
        ('layer1', 'layer1.0', 'layer1.0.relu')
        >>> place_of("", "node_relu", ": my.Net/layer1: my.Block/relu: aten.relu").classes
        (('layer1', 'Block'),)
    """
    steps = namespace[:4000].split("/")[1:-1]
    pairs = [step.partition(": ")[::2] for step in steps if ": " in step]
    known = [(plain(path), plain(kind.rsplit(".", 1)[-1])) for path, kind in pairs if path]
    classes = tuple(known[:MOST_SCOPES])
    path, _, last = weight.rpartition(".")
    if path and last in _PARTS and _PATH.fullmatch(path):
        return Place(plain(path), _around(path), classes)
    if classes:
        return Place("", tuple(dict.fromkeys(path for path, _ in classes)), classes)
    return Place("", _from_node_name(node), ())


def _from_node_name(name: str) -> tuple[str, ...]:
    """Scopes of a name such as `/layer1/layer1.0/conv1/Conv`, whose steps repeat the step before."""
    if not name.startswith("/"):
        return ()
    steps = [plain(step) for step in name[:4000].split("/")[1:-1] if step][:MOST_SCOPES]
    paths: list[str] = []
    before = ""
    for step in steps:
        outer = paths[-1] if paths else ""
        if before and step.startswith(f"{before}."):
            outer = outer[: -len(before)].rstrip(".")
        paths.append(f"{outer}.{step}" if outer else step)
        before = step
    return tuple(dict.fromkeys(paths))


def _around(path: str) -> tuple[str, ...]:
    parts = path.split(".")[:MOST_SCOPES]
    return tuple(plain(".".join(parts[:i])) for i in range(1, len(parts)))


def leaves(places: Sequence[Place], operators: Sequence[str]) -> list[Place]:
    """The same places, where a module that does one kind of thing only is what does it.

    `layer1.0.relu` around nothing but calls of `relu` is the name of these calls, no module to open.
    """
    inside: dict[str, set[str]] = {}
    outer: set[str] = set()
    for place, operator in zip(places, operators, strict=True):
        outer.update(place.scope if place.module else place.scope[:-1])
        if not place.module:
            inside.setdefault(place.prefix, set()).add(operator)
    found = []
    for place in places:
        path = place.prefix
        is_leaf = path and not place.module and path not in outer and len(inside[path]) == 1
        found.append(replace(place, module=path, scope=place.scope[:-1]) if is_leaf else place)
    return found


def modules_of(places: Iterable[Place], kinds: Mapping[str, str]) -> dict[str, str]:
    """Class of every module by path, as far as the file tells; `kinds` has that of single operators."""
    modules: dict[str, str] = {}
    for place in places:
        modules |= {path: modules.get(path, "Module") for path in place.scope}
        modules |= {path: kind for path, kind in place.classes if path in (*place.scope, place.module)}
    return {**kinds, **modules}
