"""Every setting of a run has an option, help is complete, and the light commands stay light."""

import subprocess
import sys
from pathlib import Path

import pytest

from nasviz.commands import option_names, plain, table
from nasviz.settings import METHODS, RunSettings
from tests.cli.conftest import ROOT, Command

COMMANDS = [
    [],
    ["analyze"],
    ["construct"],
    ["train"],
    ["sweep"],
    *[["sweep", name] for name in ("list", "show", "resume", "stop", "delete")],
    ["runs"],
    *[["runs", name] for name in ("list", "show", "resume", "continue", "cancel")],
    ["export"],
]


def test_every_setting_of_a_run_and_of_each_method_has_an_option() -> None:
    own = {name for method in METHODS.values() for name in method.fields()}
    rest = set(RunSettings.model_fields) - {"network", "protect", "collapse", "trust", "trained_epochs"}
    assert set(option_names()) == own | rest


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_there(command: list[str], capsys: pytest.CaptureFixture[str], nasviz: Command) -> None:
    with pytest.raises(SystemExit, match="0"):
        nasviz(*command, "--help")
    assert f"usage: {' '.join(['nasviz', *command])}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["runs"]])
def test_a_command_alone_says_what_it_offers(command: list[str], nasviz: Command) -> None:
    said = nasviz(*command)
    assert said.code == 0
    assert "commands:" in said.out


def test_listing_runs_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from nasviz.cli import main;"
        f" main(['runs', 'list', '--runs', {str(tmp_path)!r}]); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no runs in" in done.stdout


def test_text_for_the_terminal_holds_no_control_characters() -> None:
    assert plain("a\x1b[2Jb\r\nc\u202e") == "a?[2Jb??c?"


def test_a_table_without_rows_is_its_header() -> None:
    assert list(table(("id", "name"), [])) == ["id  name"]
