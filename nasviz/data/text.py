"""Text for next-symbol prediction: Penn Treebank by words, and Python's documentation by characters.

A text is split into windows of equal length. Each is an independent example: the state of a recurrent network
is zero at the start of a window, so windows may come in any order, and a run resumes exactly. (Papers on
language models carry the state over between windows, so perplexities here are higher.)
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nasviz.catalog import FACTS, DataFacts
from nasviz.data.images import DataSplit
from nasviz.errors import DataError

__all__ = ["ALPHABET", "TextSet", "load_penn_treebank", "load_python_docs"]

ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
"""Symbols of the documentation; other characters become question marks."""
END = "<eos>"


@dataclass(frozen=True, eq=False)
class TextSet:
    """Windows of a text, and the next symbol at each position.

    Examples:
        >>> windows = TextSet(torch.arange(9), length=4)
        >>> symbols, following = windows.batch(torch.tensor([1]))
        >>> symbols.tolist(), following.tolist()
        ([[4, 5, 6, 7]], [[5, 6, 7, 8]])
    """

    symbols: Tensor
    """Text as numbers, `(length of the text,)`, int64."""
    length: int
    """Number of symbols of a window."""

    def __len__(self) -> int:
        return (len(self.symbols) - 1) // self.length

    @property
    def device(self) -> torch.device:
        """Device of the text, and thus of batches."""
        return self.symbols.device

    def to(self, device: torch.device | str) -> TextSet:
        """Return the text on another device."""
        return replace(self, symbols=self.symbols.to(device))

    def batch(self, indices: Tensor, crop: object = None) -> tuple[Tensor, Tensor]:
        """Return symbols and the ones that follow them, both `(B, length)`, int64; `crop` is ignored."""
        places = indices.to(self.device)[:, None] * self.length + torch.arange(
            self.length, device=self.device
        )
        return self.symbols[places], self.symbols[places + 1]

    def black(self) -> float:
        """Return 0: a text has no pixels."""
        return 0.0

    def in_epoch(self, seed: int, epoch: int) -> TextSet:
        """Return the set itself: a text does not change."""
        return self


def load_python_docs() -> DataSplit:
    """Return the characters of the help topics that come with Python (`pydoc_data.topics`), a small text.

    Uses the first characters of the sorted topics, as many as the facts say; the text depends on the Python
    version.

    Raises:
        DataError: This Python has no help topics.
    """
    facts = FACTS["python_docs"]
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            f"Python {platform.python_version()} has no pydoc_data (help topics) here; install the"
            " whole standard library, or choose penn_treebank with a folder"
        ) from None
    numbers = {symbol: number for number, symbol in enumerate(ALPHABET)}
    other = numbers["?"]
    text = "\n".join(topics[name] for name in sorted(topics))
    num_train, num_validation = facts.num_train * facts.size, facts.num_validation * facts.size
    needed = num_train + num_validation + 2
    if len(text) < needed:
        raise DataError(
            f"the help topics of this Python have only {len(text):,} of {needed:,} characters needed"
        )
    symbols = torch.tensor([numbers.get(symbol, other) for symbol in text[:needed]])
    return _split(facts, symbols[: num_train + 1], symbols[num_train + 1 :])


def load_penn_treebank(folder: Path | None) -> DataSplit:
    """Return the words of Penn Treebank as prepared by Mikolov, with an end symbol after each line.

    Args:
        folder: Folder with ptb.train.txt and ptb.valid.txt.

    Raises:
        DataError: A file is missing, holds no word, or holds more distinct words than the facts say.
    """
    facts = FACTS["penn_treebank"]
    if folder is None:
        raise DataError("penn_treebank needs the folder with its files; set data_folder")
    train, validation = (_words(folder / f"ptb.{part}.txt") for part in ("train", "valid"))
    numbers = {word: number for number, word in enumerate(dict.fromkeys(train))}
    if len(numbers) > facts.num_classes:
        raise DataError(
            f"{folder} has {len(numbers):,} distinct words, more than the {facts.num_classes:,} of Penn"
            " Treebank; use the prepared files, in which rare words are <unk>"
        )
    if lost := [word for word in dict.fromkeys(validation) if word not in numbers]:
        raise DataError(
            f"{len(lost)} words of ptb.valid.txt are not in ptb.train.txt, such as {lost[0][:40]!r}"
        )
    texts = (torch.tensor([numbers[word] for word in words]) for words in (train, validation))
    return _split(facts, *texts)


def _words(path: Path) -> Sequence[str]:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error
    return [word for line in lines for word in (*line.split(), END)]


def _split(facts: DataFacts, train: Tensor, validation: Tensor) -> DataSplit:
    sets = TextSet(train, facts.size), TextSet(validation, facts.size)
    if not all(len(part) for part in sets):
        raise DataError(
            f"{facts.name} has {len(train):,} and {len(validation):,} symbols: less than one window each"
        )
    return DataSplit(facts, *sets)
