"""Text to learn the next symbol of: Penn Treebank by words, and Python's own documentation by characters.

A text is cut into windows of equal length. Each is an example of its own: the state of a recurrent network is
zero where a window begins, so windows may come in any order, and a run is resumed like any other. (Papers on
language models carry the state on from window to window; perplexities here are higher for that reason.)
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
"""Symbols of the documentation; any other character reads as a question mark."""
END = "<eos>"


@dataclass(frozen=True, eq=False)
class TextSet:
    """Windows of a text, and at each place the symbol that comes next.

    Examples:
        >>> windows = TextSet(torch.arange(9), length=4)
        >>> symbols, following = windows.batch(torch.tensor([1]))
        >>> symbols.tolist(), following.tolist()
        ([[4, 5, 6, 7]], [[5, 6, 7, 8]])
    """

    symbols: Tensor
    """The text as numbers, `(length of the text,)`, int64."""
    length: int
    """Symbols of a window."""

    def __len__(self) -> int:
        return (len(self.symbols) - 1) // self.length

    @property
    def device(self) -> torch.device:
        """Where the text lies, and so where batches come out."""
        return self.symbols.device

    def to(self, device: torch.device | str) -> TextSet:
        """The same text on another device."""
        return replace(self, symbols=self.symbols.to(device))

    def batch(self, indices: Tensor, crop: object = None) -> tuple[Tensor, Tensor]:
        """Symbols and those that follow them, both `(B, length)`, int64; there is nothing to crop."""
        places = indices.to(self.device)[:, None] * self.length + torch.arange(
            self.length, device=self.device
        )
        return self.symbols[places], self.symbols[places + 1]

    def black(self) -> float:
        """A text has no pixels."""
        return 0.0

    def in_epoch(self, seed: int, epoch: int) -> TextSet:
        """The set itself: a text never varies."""
        return self


def load_python_docs() -> DataSplit:
    """Characters of the help topics that come with Python itself (`pydoc_data.topics`): a stand-in, small.

    The first characters, sorted by topic, as many as the facts say; the text is that of the running Python.

    Raises:
        DataError: This Python comes without its documentation.
    """
    facts = FACTS["python_docs"]
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            f"Python {platform.python_version()} here comes without pydoc_data, its help topics; install the"
            " whole standard library, or choose penn_treebank with a folder"
        ) from None
    numbers = {symbol: number for number, symbol in enumerate(ALPHABET)}
    other = numbers["?"]
    text = "\n".join(topics[name] for name in sorted(topics))
    num_train, num_validation = facts.num_train * facts.size, facts.num_validation * facts.size
    needed = num_train + num_validation + 2
    if len(text) < needed:
        raise DataError(
            f"the help topics of this Python have {len(text):,} characters; {needed:,} are needed"
        )
    symbols = torch.tensor([numbers.get(symbol, other) for symbol in text[:needed]])
    return _split(facts, symbols[: num_train + 1], symbols[num_train + 1 :])


def load_penn_treebank(folder: Path | None) -> DataSplit:
    """Words of Penn Treebank as Mikolov has prepared it, an end after each line.

    Args:
        folder: Holds ptb.train.txt and ptb.valid.txt.

    Raises:
        DataError: A file is missing, holds no word, or holds more kinds of words than the facts say.
    """
    facts = FACTS["penn_treebank"]
    if folder is None:
        raise DataError("penn_treebank lies in a folder of yours: name it as data_folder")
    train, validation = (_words(folder / f"ptb.{part}.txt") for part in ("train", "valid"))
    numbers = {word: number for number, word in enumerate(dict.fromkeys(train))}
    if len(numbers) > facts.num_classes:
        raise DataError(
            f"{folder} has {len(numbers):,} kinds of words, and Penn Treebank {facts.num_classes:,}; give the"
            " prepared files, in which rare words are <unk>"
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
            f"{facts.name} has {len(train):,} and {len(validation):,} symbols: less than a window each"
        )
    return DataSplit(facts, *sets)
