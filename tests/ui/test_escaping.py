"""Names of strangers are shown as they are, and do nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.draw.labels import clean
from nasviz.ui.parts.escaping import inert, sentence

HOSTILE = [
    "![x](http://127.0.0.1:9/p.png)",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "**bold** _under_ `code` ~~gone~~ $x^2$ :red[danger] # heading",
    "| a | b |",
    "https://evil.example and www.evil.example and me@evil.example",
    "&lt;script&gt; \\ ",
]


@given(st.sampled_from(HOSTILE) | st.text(max_size=40))
def test_every_character_is_kept_and_every_mark_is_quoted(text: str) -> None:
    """A backslash before a mark is Markdown for the mark itself (CommonMark, 2.4)."""
    quiet = inert(text).replace("\u2060", "")
    assert re.sub(r"\\(.)", r"\1", quiet) == clean(text).replace("\u2060", "")
    assert not set(re.sub(r"\\.", "", quiet)) & set("\\`*_{}[]()<>#+!|~$:&=^-")


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "me@evil.example"])
def test_nothing_is_left_that_could_be_taken_for_an_address(text: str) -> None:
    """Addresses become links behind the parser, where quoting is gone: a mark between their parts stays."""
    assert not re.search(r"https?:|www\.|@\w", inert(text).replace("\\", ""))


def test_a_sentence_ends_once() -> None:
    assert sentence("it is no *file*.") == "It is no \\*file\\*."
