"""Options come from the settings, mistakes are one line, and the light commands stay light."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

import nasviz as library
from nasviz.cli import COMMANDS
from nasviz.cli.parsing import application
from nasviz.cli.text import plain, table
from nasviz.runs import Store
from nasviz.settings import METHODS, RunSettings
from tests.cli.conftest import ROOT, SMALL, Command


def commands(app: App, *chain: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, groups of commands included."""
    yield chain
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], *chain, name)


ALL = list(commands(application(COMMANDS, name="nasviz")))


def options(*command: str) -> set[str]:
    app = application(COMMANDS, name="nasviz")
    for word in command:
        app = app[word]
    return {name for argument in app.assemble_argument_collection() for name in argument.names}


def test_the_commands_are_those_that_are_documented() -> None:
    stable = {"app", "analyze", "train", "sweep", "runs", "construct", "genotype", "export"}
    assert stable <= {chain[0] for chain in ALL if chain}


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_every_setting_of_a_run_and_of_each_method_has_an_option(command: str) -> None:
    own = {name for method in METHODS.values() for name in method.fields()}
    shared = set(RunSettings.model_fields) - {"network", "trust", "trained_epochs", "trained_steps"}
    assert {f"--{name.replace('_', '-')}" for name in own | shared} <= options(command)


@pytest.mark.parametrize("command", [chain for chain in ALL if chain not in ((), ("runs",))], ids=" ".join)
def test_every_command_can_answer_as_json(command: tuple[str, ...]) -> None:
    if command != ("app",):  # it serves until it is stopped
        assert "--json" in options(*command)


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_is_there(command: tuple[str, ...], nasviz: Command) -> None:
    said = nasviz(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: {' '.join(['nasviz', *command])}" in said.out


def test_help_after_a_method_lists_the_settings_of_that_method_alone(nasviz: Command) -> None:
    everything, darts = nasviz("train", "--help").out, nasviz("train", "--Method", "DARTS", "--help").out
    assert all(name in everything for name in ("--mu", "--architecture-lr"))
    assert "--architecture-lr" in darts
    assert "--mu" not in darts


@pytest.mark.parametrize("command", [[], ["runs"]])
def test_a_command_alone_says_what_it_offers(command: list[str], nasviz: Command) -> None:
    said = nasviz(*command)
    assert said.code == 0
    assert "Commands:" in said.out


def test_the_version_is_that_of_the_package(nasviz: Command) -> None:
    assert nasviz("--version").out.strip() == library.__version__


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["trian"], "train"),
        (["runs", "lst"], "list"),
        (["sweep", "stp"], "stop"),
        (["train", "--momentun", "0.3"], "--momentum"),
        (["runs", "cancel", "x", "--wiat", "3"], "--wait"),
        (["train", "--model", "demonet", "--method", "gsparsty"], "gsparsity"),
        (["train", "--model", "demonet", "--base", "adan"], "adam"),
        (["train", "--model", "demonet", "--method", "gsparsity", "--momentum", "0.3"], "h2spg"),
        (["train", "--model", "demonet", "--epochs", "many"], "whole number"),
    ],
)
def test_a_mistake_is_one_line_with_what_is_right(nasviz: Command, words: list[str], named: str) -> None:
    said = nasviz(*words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert named in said.err


def test_a_mistake_in_the_settings_leaves_no_folder(nasviz: Command, tmp_path: Path) -> None:
    for wrong in (["--lr", "5e9"], ["--method", "hspg", "--slim", "0.5"], ["--warmup-steps", "999"]):
        assert nasviz("train", "--model", *SMALL, *wrong, "--runs", "@runs").code == 2
    assert not (tmp_path / "runs").exists()
    assert nasviz("train", "--model", *SMALL, "--target-sparsity", "9", "--runs", "@runs").code == 2
    assert Store(tmp_path / "runs").list() == []


def test_names_are_not_case_sensitive_and_runs_come_from_the_environment(
    nasviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASVIZ_RUNS", str(tmp_path / "elsewhere"))
    words = ["--Method", "H2SPG-OTOv3", "--BASE", "Adam", "--Epochs=1", "--batch-size", 512, "--quiet"]
    said = nasviz("train", "--model", *SMALL, *words, "--json")
    document = json.loads(said.out)
    assert said.code == 0, said.err
    (summary,) = Store(tmp_path / "elsewhere").list()
    assert document["id"] == summary.id
    assert document["config"]["settings"]["method"]["name"] == "h2spg_otov3"
    assert document["config"]["settings"]["method"]["base"] == "adam"
    assert json.loads(nasviz("runs", "list", "--json").out)[0]["id"] == summary.id
    written = json.loads(nasviz("export", summary.id, "--csv", tmp_path / "a.csv", "--json").out)
    assert written["written"]["csv"]["path"] == str(tmp_path / "a.csv")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_understood_by_their_shell(
    nasviz: Command, tmp_path: Path, shell: str
) -> None:
    script = nasviz("completion", shell).out
    assert all(word in script for word in ("nasviz", "target-sparsity", "h2spg_otov3", "resume"))
    if program := shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([program, "-n", str(tmp_path / "script")], check=True)


def test_help_loads_neither_torch_nor_settings() -> None:
    heavy = {"torch", "streamlit", "numpy", "networkx", "pydantic", "nasviz.settings", "nasviz.runs"}
    show = "import sys; from nasviz.cli import main; main(['--help'])"
    code = f"{show}; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == "set()\n"


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
