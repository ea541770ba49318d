"""The Python of the guide runs as it stands."""

import re
from pathlib import Path

import pytest

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "guide.md").read_text(), flags=re.DOTALL
)


@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_an_example_runs(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[place], f"guide.md, block {place}", "exec"), {"__name__": "__main__"})
