"""The command line: `nasviz app | analyze | construct | train | sweep | runs | genotype | export | ablation`.

A command is a function; its signature says its arguments, and the settings of runs add their options. Every
command is imported on first use, so that `nasviz --help` loads neither settings nor torch. An expected error
(`NasvizError`, a wrong option) is one line on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nasviz.errors import NasvizError
from nasviz.extras import explain

__all__ = ["main"]

COMMANDS = {
    "app": ("nasviz.cli.serving:serve", "Open the app in a browser."),
    "analyze": ("nasviz.cli.analysis:analyze_command", "Show what can be removed from a network."),
    "construct": ("nasviz.cli.construction:construct_command", "Cut structures out of a network by hand."),
    "train": ("nasviz.cli.training:train", "Train a network while redundant structures go to zero."),
    "sweep": ("nasviz.cli.sweep:app", "Train a grid of runs, several at a time."),
    "runs": ("nasviz.cli.runs:app", "List, show, resume, continue and cancel runs."),
    "genotype": ("nasviz.cli.exporting:genotype", "Print the cells that a run has selected."),
    "export": ("nasviz.cli.exporting:export", "Write the sub-network and the record of a run to files."),
    "ablation": ("nasviz.cli.ablation:ablation", "Compare sparse optimizers on digits, in four plots."),
    "completion": ("nasviz.cli.completion:completion", "Print the completion script of a shell."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    from nasviz.cli.parsing import run
    from nasviz.cli.text import plain

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = run(COMMANDS, words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough: what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if (missing := explain(error, "this command")) is None:
            raise
        print(f"nasviz: {missing}", file=sys.stderr)
        return 2
    except (NasvizError, OSError) as error:
        print(f"nasviz: {plain(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code
