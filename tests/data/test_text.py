"""Text as windows: what follows what, both sources, and what is told of a folder that does not fit."""

from pathlib import Path

import pytest
import torch

from nasviz import data
from nasviz.catalog import FACTS
from nasviz.data.text import ALPHABET, TextSet
from nasviz.errors import DataError


def test_every_symbol_of_a_window_is_followed_by_the_next_one_of_the_text() -> None:
    text = torch.arange(23)
    windows = TextSet(text, length=5)
    assert len(windows) == 4
    symbols, following = windows.batch(torch.arange(4))
    assert symbols.flatten().tolist() == list(range(20))
    assert torch.equal(following, symbols + 1)


def test_the_stand_in_is_the_documentation_of_python_itself() -> None:
    split, facts = data.load("python_docs", image_shape=()), FACTS["python_docs"]
    assert (len(split.train), len(split.validation)) == (facts.num_train, facts.num_validation)
    assert len(ALPHABET) == facts.num_classes
    words = "".join(ALPHABET[i] for i in split.train.batch(torch.arange(200))[0].flatten())
    assert "statement" in words
    apart = split.validation.batch(torch.arange(4))[0].flatten()
    assert not torch.equal(apart, split.train.batch(torch.arange(4))[0].flatten())


def treebank(folder: Path, train: str, valid: str) -> Path:
    (folder / "ptb.train.txt").write_text(train)
    (folder / "ptb.valid.txt").write_text(valid)
    return folder


def test_penn_treebank_is_read_by_words_with_an_end_after_each_line(tmp_path: Path) -> None:
    folder = treebank(tmp_path, " the bank <unk> \n the end \n" * 20, "the end\n" * 20)
    split = data.load("penn_treebank", image_shape=(), folder=folder)
    symbols, following = split.train.batch(torch.tensor([0]))
    assert symbols[0, :8].tolist() == [0, 1, 2, 3, 0, 4, 3, 0]
    assert following[0, :7].tolist() == symbols[0, 1:8].tolist()
    assert len(split.train) == (20 * 7 - 1) // 35


@pytest.mark.parametrize(
    ("train", "valid", "words"),
    [
        ("a b\n" * 40, "a c\n" * 40, "1 words of ptb.valid.txt are not in ptb.train.txt, such as 'c'"),
        ("a b\n" * 40, "a\n", "less than one window"),
        (" ".join(f"w{i}" for i in range(10_001)), "w1\n" * 40, r"10,002 distinct words"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_in_words(
    tmp_path: Path, train: str, valid: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        data.load("penn_treebank", image_shape=(), folder=treebank(tmp_path, train, valid))


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set data_folder"):
        data.load("penn_treebank", image_shape=())
    with pytest.raises(DataError, match=r"ptb\.train\.txt cannot be read"):
        data.load("penn_treebank", image_shape=(), folder=tmp_path)
