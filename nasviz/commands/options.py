"""Command-line options of a run, made from the settings classes: one option per setting.

`nasviz train --help` lists the options by the methods that have them; after `--method NAME` it lists those of
that method alone, with its defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from nasviz.catalog import Setting
from nasviz.settings import AUTO, METHODS, RunSettings, find_method

__all__ = ["add_settings", "chosen_settings", "method_in", "option_names"]

_METHOD = ("--method", "--optimizer")


def option_names() -> tuple[str, ...]:
    """Return the flat names of all settings that have an option."""
    return RunSettings.names()


def chosen_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given as options, by flat name."""
    found = {name: getattr(args, name) for name in option_names() if hasattr(args, name)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def method_in(arguments: Sequence[str]) -> str | None:
    """Return the method that a command line names, before it is parsed; None where it names none.

    Examples:
        >>> method_in(["train", "--model", "demonet", "--method", "darts", "--help"])
        'darts'
    """
    for place, word in enumerate(arguments):
        option, sign, value = word.partition("=")
        if option in _METHOD:
            value = value if sign else "".join(arguments[place + 1 : place + 2])
            name = value.lower().replace("-", "_")
            return name if name in METHODS else None
    return None


def add_settings(parser: argparse.ArgumentParser, method: str | None = None) -> None:
    """Add an option for every setting of a run; those that are left out keep their default.

    Args:
        parser: Gets the options.
        method: Limits the help to the settings of this method; all can be given, so that a setting which the
            method does not have is answered with the methods that have it.
    """
    groups: dict[str, Any] = {}

    def group(title: str) -> Any:
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        return groups[title]

    for field in RunSettings.fields().values():
        _add(group(field.group.lower()), [("", field)])
    names = ", ".join(METHODS)
    group("search method").add_argument(
        *_METHOD,
        dest="method",
        type=_method,
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=f"{names} (default: {next(iter(METHODS))}); `--method NAME --help` lists its own settings",
    )
    for title, held in _by_holders(method).items():
        for name in held:
            fields = [(key, kind.fields()[name]) for key, kind in METHODS.items() if kind.has(name)]
            shown = [(key, field) for key, field in fields if method in (None, key)]
            _add(group(title), shown or fields, parse=_merged(fields), is_shown=bool(shown))


def _by_holders(method: str | None) -> dict[str, list[str]]:
    """Names of settings by the heading that they stand under."""
    found: dict[str, list[str]] = {}
    names = dict.fromkeys(name for kind in METHODS.values() for name in kind.fields())
    for name in names:
        holders = [key for key, kind in METHODS.items() if kind.has(name)]
        if method is not None and method in holders:
            title = f"settings of {method}"
        elif len(holders) == len(METHODS):
            title = "settings of all methods"
        elif len(holders) > len(METHODS) // 2:
            title = f"settings of all methods but {', '.join(k for k in METHODS if k not in holders)}"
        else:
            title = f"settings of {', '.join(holders)}"
        found.setdefault(title, []).append(name)
    return found


def _merged(fields: Sequence[tuple[str, Setting]]) -> Setting:
    """One setting that accepts what any of the methods accepts; which it is, the settings class checks."""
    from dataclasses import replace

    choices = dict.fromkeys(choice for _, field in fields for choice in field.choices)
    has_auto = any(field.has_auto for _, field in fields)
    return replace(fields[0][1], choices=tuple(choices), has_auto=has_auto)


def _add(
    group: Any, fields: Sequence[tuple[str, Setting]], *, parse: Setting | None = None, is_shown: bool = True
) -> None:
    (_, first), field = fields[0], parse or fields[0][1]
    flags = [f"--{name.replace('_', '-')}" for name in (field.name, *field.aliases)]
    words = first.help.rstrip(".")
    text = f"{words[:1].lower()}{words[1:]} (default: {_defaults(fields)})".replace("%", "%%")
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": field.name}
    options["help"] = text if is_shown else argparse.SUPPRESS
    if field.kind == "bool":
        options["action"] = argparse.BooleanOptionalAction
    elif field.kind == "names":
        options |= {"action": "append", "metavar": field.metavar or "NAME"}
    elif field.kind == "choice":
        options |= {"type": _choice(field.choices), "metavar": "{" + ",".join(field.choices) + "}"}
    else:
        options["type"] = _reader(field)
        options["metavar"] = field.metavar or {"int": "N", "steps": "N", "share": "N"}.get(field.kind, "X")
    group.add_argument(*flags, **options)


def _defaults(fields: Sequence[tuple[str, Setting]]) -> str:
    """Return the default, or those of the methods where they differ."""
    values = [_shown(field.default) for _, field in fields]
    if len(set(values)) == 1:
        return values[0]
    return "; ".join(f"{name}: {value}" for (name, _), value in zip(fields, values, strict=True))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, ()) else str(value)


def _method(text: str) -> str:
    from nasviz.errors import UnknownNameError

    try:
        return str(find_method(text).model_fields["name"].default)
    except UnknownNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _choice(choices: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() in choices:
            return text.lower()
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")

    return read


def _reader(field: Setting) -> Callable[[str], Any]:
    """Return the function that converts the text of an option to a value of the setting."""

    def read(text: str) -> Any:
        if field.has_auto and text.lower() == AUTO:
            return AUTO
        try:
            if field.kind in ("steps", "share"):
                return int(text) if text.isdecimal() else float(text)
            return {"int": int, "float": float}.get(field.kind, str)(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} must be {field.describe()}") from None

    return read
