"""Link ES modules into one, in memory, without a build step.

The script of a component reaches the browser as one text, so its modules are linked when Python loads them.
Each module becomes a function that returns its exports, in the order of the imports; other names stay
private.

The linker reads only the start and the end of a module, so it needs no JavaScript parser. Modules have this
form, which the linter checks too (`useExportsLast`):

* Import statements come first, `import { name, other as alias } from "./module.js";`.
* Exports come last, in one statement, `export { name, other as alias };`.

An `import` or `export` statement elsewhere ends up inside a function, where it is a syntax error, so nothing
is dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nasviz.errors import ViewerError

__all__ = ["link_modules", "script"]

_FOLDER = Path(__file__).parent
_GAP = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_IMPORT_WORD = re.compile(r"import\b")
_IMPORT = re.compile(r'import\s*\{([^{}]*)\}\s*from\s*"\./([A-Za-z0-9_-]+\.js)"\s*;')
_EXPORT = re.compile(r"^export\s*\{([^{}]*)\}\s*;\s*\Z", re.MULTILINE)
_NAME = re.compile(r"([A-Za-z_$][\w$]*)(?:\s+as\s+([A-Za-z_$][\w$]*))?")


@cache
def script(entry: str) -> str:
    """Return the viewer module `entry` and everything it imports as one module.

    Args:
        entry: File name, such as `graph.js`.

    Raises:
        ViewerError: A module does not have the form described above.

    Examples:
        >>> script("overlay.js").rstrip().endswith("export default $nasviz.overlay.default;")
        True
    """
    modules = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.glob("*.js")}
    return link_modules(modules, entry)


def link_modules(modules: Mapping[str, str], entry: str) -> str:
    """Return one module that runs `entry` after its imports, with the default export of `entry`.

    Args:
        modules: Text of each module by file name.
        entry: Name of the module to start from.

    Raises:
        ViewerError: A module is missing or malformed, imports are circular, or a name is not exported.

    Examples:
        >>> a = ['import { two } from "./b.js";', "const four = two * 2;", "export { four as default };"]
        >>> b = ["const two = 2;", "export { two };"]
        >>> modules = {"a.js": chr(10).join(a), "b.js": chr(10).join(b)}
        >>> print(link_modules(modules, "a.js"))
        const $nasviz = {};
        $nasviz.b = (() => {
        const two = 2;
        return { two: two };
        })();
        $nasviz.a = (() => {
        const { two: two } = $nasviz.b;
        const four = two * 2;
        return { default: four };
        })();
        export default $nasviz.a.default;
        <BLANKLINE>
    """
    linked: dict[str, Mapping[str, str]] = {}
    parts = ["const $nasviz = {};"]

    def add(name: str, importers: tuple[str, ...]) -> Mapping[str, str]:
        if name in linked:
            return linked[name]
        if name in importers:
            raise ViewerError(f"circular import of viewer modules: {' -> '.join((*importers, name))}")
        if name not in modules:
            raise ViewerError(
                f"{importers[-1] if importers else 'the page'} imports {name}, which does not exist"
            )
        imports, body, exports = _split(name, modules[name])
        lines = []
        for source, names in imports:
            found = add(source, (*importers, name))
            if missing := sorted(set(names) - set(found)):
                raise ViewerError(
                    f"{name} imports {', '.join(missing)} from {source}, which does not export it"
                )
            lines.append(f"const {{ {_pairs(names)} }} = $nasviz.{_key(source)};")
        returned = [f"return {{ {_pairs(exports)} }};"] if exports else []
        parts.append("\n".join([f"$nasviz.{_key(name)} = (() => {{", *lines, body, *returned, "})();"]))
        linked[name] = exports
        return exports

    if "default" in add(entry, ()):
        parts.append(f"export default $nasviz.{_key(entry)}.default;")
    return "\n".join(parts) + "\n"


def _split(name: str, text: str) -> tuple[list[tuple[str, dict[str, str]]], str, dict[str, str]]:
    """Split a module into imports (file, local name by exported name), body, and local by exported name."""
    imports: list[tuple[str, dict[str, str]]] = []
    start = 0
    while True:
        at = _match_gap(text, start)
        if not _IMPORT_WORD.match(text, at):
            break
        found = _IMPORT.match(text, at)
        if found is None:
            line = text[at:].split("\n", 1)[0]
            raise ViewerError(f'{name}: "{line}" is not of the form `import {{ name }} from "./module.js";`')
        imports.append((found[2], dict(_names(name, found[1]))))
        start = found.end()
    exports: dict[str, str] = {}
    end = _EXPORT.search(text, start)
    if end is not None:
        exports = {exported: local for local, exported in _names(name, end[1])}
    body = text[start : end.start() if end else len(text)].strip("\n")
    return imports, body, exports


def _match_gap(text: str, start: int) -> int:
    """Return the position after white space and comments."""
    found = _GAP.match(text, start)
    return found.end() if found else start


def _names(module: str, text: str) -> list[tuple[str, str]]:
    """Read `a, b as c` as pairs of the name before and the name after `as`."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _NAME.fullmatch(part)
        if found is None:
            raise ViewerError(f'{module}: "{part}" is not a name or `name as other`')
        pairs.append((found[1], found[2] or found[1]))
    return pairs


def _pairs(names: Mapping[str, str]) -> str:
    return ", ".join(f"{exported}: {local}" for exported, local in names.items())


def _key(name: str) -> str:
    """Return the property name of a module: its file name as an identifier."""
    return name.removesuffix(".js").replace("-", "_")
