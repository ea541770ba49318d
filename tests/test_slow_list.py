"""slow.txt names tests that exist."""

from pathlib import Path

from tests.conftest import SLOW

ROOT = Path(__file__).parents[1]


def test_every_line_names_tests_and_none_is_listed_twice() -> None:
    lines = [line for line in SLOW.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == sorted(set(lines))
    for line in lines:
        path, _, name = line.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text(), line
