"""The page of settings says what the declarations say."""

from pathlib import Path

from nasviz.settings.__main__ import tables

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text() == tables(), "run `make settings`"
