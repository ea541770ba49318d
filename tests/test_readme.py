"""The README keeps its word: its Python runs, its targets and commands exist, its pictures are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_example_in_python_runs_as_it_stands(tmp_path: Path) -> None:
    example, loop = blocks("python")
    script = (ROOT / "examples" / "your_own_loop.py").read_text()
    assert script.endswith(loop), "tests/examples runs the file; the README shows it"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{example}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("11 8\n")
    assert (tmp_path / "smaller.onnx").exists()
    assert (tmp_path / "smaller" / "model.py").exists()


def test_the_make_targets_exist() -> None:
    named = set(re.findall(r"make (\w+)", TEXT))
    assert {"run", "test", "check", "bench", "slow"} <= named
    assert named <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("line", [x for x in "".join(blocks("sh")).splitlines() if "bin/nasviz" in x])
def test_the_command_lines_are_understood(line: str) -> None:
    from nasviz.cli import COMMANDS
    from nasviz.cli.parsing import application

    application(COMMANDS, name="nasviz").parse_args(line.split()[1:], exit_on_error=False)


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"\]\((assets/[^)]+)\)", TEXT)
    assert len(pictures) >= 3
    assert all((ROOT / name).exists() for name in pictures)
