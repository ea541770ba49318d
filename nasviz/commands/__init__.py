"""What the command line does, command by command: work in, lines of text or plain data out.

`nasviz.cli` reads the arguments and prints.
"""

from nasviz.commands.ablation import add_ablation_arguments, run_ablation
from nasviz.commands.analysis import analysis_lines, analyze, viewed
from nasviz.commands.arguments import (
    add_config,
    add_cut,
    add_download,
    add_network,
    settings_of,
    source_of,
)
from nasviz.commands.consent import add_trust, consent, require_typed
from nasviz.commands.constructing import construct, constructed_lines
from nasviz.commands.downloading import download_data
from nasviz.commands.exporting import FORMS
from nasviz.commands.exporting import check as check_files
from nasviz.commands.listing import document_of, list_lines, result_lines, run_lines, summary_document
from nasviz.commands.options import add_settings, method_in, option_names
from nasviz.commands.parser import Parser
from nasviz.commands.sweep_command import (
    add_sweep_arguments,
    bisection_settings,
    preset_settings,
    run_sweep,
)
from nasviz.commands.text import plain, say, table
from nasviz.commands.training import check_steps, start_detached, train_here
from nasviz.commands.watching import Watch, follow

__all__ = [
    "FORMS",
    "Parser",
    "Watch",
    "add_ablation_arguments",
    "add_config",
    "add_cut",
    "add_download",
    "add_network",
    "add_settings",
    "add_sweep_arguments",
    "add_trust",
    "analysis_lines",
    "analyze",
    "bisection_settings",
    "check_files",
    "check_steps",
    "consent",
    "construct",
    "constructed_lines",
    "document_of",
    "download_data",
    "follow",
    "list_lines",
    "method_in",
    "option_names",
    "plain",
    "preset_settings",
    "require_typed",
    "result_lines",
    "run_ablation",
    "run_lines",
    "run_sweep",
    "say",
    "settings_of",
    "source_of",
    "start_detached",
    "summary_document",
    "table",
    "train_here",
    "viewed",
]
