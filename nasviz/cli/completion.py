"""`nasviz completion`: completion of commands and options in a shell."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from nasviz.cli.options import AsJson
from nasviz.cli.text import answer

__all__ = ["completion"]


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL", help="Shell to complete in.")],
    /,
    *,
    json: AsJson = False,
) -> int:
    """Print the completion script of a shell: source it, or save it where the shell looks for it.

    bash: nasviz completion bash > ~/.local/share/bash-completion/completions/nasviz

    zsh: nasviz completion zsh > ~/.zfunc/_nasviz (a folder of fpath)

    fish: nasviz completion fish > ~/.config/fish/completions/nasviz.fish
    """
    from nasviz.cli import COMMANDS
    from nasviz.cli.parsing import application

    script = application(COMMANDS, name="nasviz").generate_completion(shell=shell)
    answer(json=json, document={"shell": shell, "script": script}, lines=script.splitlines())
    return 0
