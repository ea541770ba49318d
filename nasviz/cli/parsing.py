"""From words to a command: the application, and mistakes as one short line."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError, UnusedCliTokensError
from cyclopts.help import HelpEntry, HelpPanel, PlainFormatter

import nasviz
from nasviz.cli.text import plain, typed
from nasviz.extensions import load_extensions, take_option

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

__all__ = ["application", "run"]

SUMMARY = (
    "Find removable structures in a neural network, train them to zero, construct the exact smaller"
    " sub-network.\n\n`nasviz COMMAND --help` lists the options of a command. Every command takes `--json`,"
    " and `--extension MODULE`: a module or a file of your own that adds networks, data sets, methods or"
    " saliencies."
)
_COLUMN = 26
"""Where descriptions begin in the help."""
_WIDEST = 110


class _Help(PlainFormatter):
    """Help in two columns, without frames and colours."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a heading with its arguments or commands."""
        if not panel.entries:
            return
        lines = [f"{panel.title}:"]
        for entry in panel.entries:
            label = f"  {', '.join(entry.display_labels_with_metavar)}"
            text = _description(entry, is_command=panel.format == "command")
            wrapped = textwrap.wrap(text, max(30, min(console.width, _WIDEST) - _COLUMN))
            if len(label) < _COLUMN - 1 and wrapped:
                label = label.ljust(_COLUMN) + wrapped.pop(0)
            lines += [label, *(" " * _COLUMN + line for line in wrapped)]
        console.print("\n".join(lines), "", sep="\n", highlight=False, markup=False, soft_wrap=True)


def _description(entry: HelpEntry, *, is_command: bool) -> str:
    text = getattr(entry.description, "primary_renderable", entry.description)
    words = str(getattr(text, "plain", text or ""))
    if not is_command:
        if entry.choices:
            words += f" One of {', '.join(entry.choices)}."
        if entry.default is not None:
            words += f" (default: {entry.default})"
    return " ".join(words.split())


def application(commands: Mapping[str, tuple[str, str]] | None = None, **options: object) -> App:
    """Return an application whose commands are imported on first use.

    Args:
        commands: Module and attribute, and a one-line help, by name of the command.
        **options: Further options of `cyclopts.App`.
    """
    app = App(
        version=nasviz.__version__,
        help_formatter=_Help(),
        help_format="plaintext",
        # Of an option that is repeated and takes one value, the last occurrence counts.
        default_parameter=Parameter(
            negative_iterable=(), negative_bool=(), show_env_var=False, allow_repeating=True
        ),
        result_action="return_value",
        **options,  # type: ignore[arg-type]
    )
    for name, (place, text) in (commands or {}).items():
        app.command(place, name=name, help=text)
    return app


def run(commands: Mapping[str, tuple[str, str]], words: Sequence[str]) -> int:
    """Run the command that the words name; return its exit code, 2 after a mistake in them."""
    typed.set(tuple(words))
    words = take_option(words)  # first, because the help and the choices of options name what is registered
    load_extensions()
    app = application(commands, name="nasviz", help=SUMMARY)
    try:
        code = app(_lower_options(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        chain = " ".join(("nasviz", *(error.command_chain or ())))
        print(f"{chain}: {plain(_mistake(error))}; see `{chain} --help`", file=sys.stderr)  # noqa: T201
        return 2
    return code if isinstance(code, int) else 0


def _mistake(error: CycloptsError) -> str:
    """Return an error in one line, with the nearest right word."""
    if isinstance(error, UnknownCommandError | UnusedCliTokensError):
        from nasviz.settings.base import nearest

        # The message of cyclopts would import every command.
        word, known = (error.unused_tokens or [""])[0], [n for n in error.app or () if not n.startswith("-")]
        close = nearest(word, known)
        return f"unknown {'command' if known else 'argument'} {word!r}{close}"
    error.verbose = False
    return " ".join(str(error).split()).rstrip(".")


def _lower_options(words: Sequence[str]) -> list[str]:
    """Return the words with the names of long options in lower case: options are not case-sensitive.

    Examples:
        >>> _lower_options(["train", "--Model", "My:Net", "--Set=Width=1", "--", "--Kept"])
        ['train', '--model', 'My:Net', '--set=Width=1', '--', '--Kept']
    """
    end = words.index("--") if "--" in words else len(words)
    found = list(words)
    for place, word in enumerate(words[:end]):
        if word.startswith("--"):
            name, sign, value = word.partition("=")
            found[place] = name.lower() + sign + value
    return found
