"""A user's own data: out of a trusted folder, in either form, its random draws tied to the index."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from nasviz.data import augmented, load, open_data
from nasviz.errors import DataError, InvalidSettingError

CODE = """
import random
import numpy as np
import torch
from torch.utils.data import Dataset

class Noisy(Dataset):
    classes = ["a", "b", "c"]
    def __len__(self):
        return 9
    def __getitem__(self, index):
        noise = torch.rand(1) + float(np.random.rand()) + random.random()
        return torch.full((1, 4, 4), float(index)) + noise, index % 3

def noisy():
    return Noisy(), Noisy()

def pictures(folder, image_shape, seed):
    assert (str(folder), image_shape, seed) == ("/data", (3, 8, 8), 5)
    images = torch.arange(6 * 64, dtype=torch.int64).reshape(6, 1, 8, 8).to(torch.uint8)
    return (images, torch.arange(6) % 4), (images[:2], torch.arange(2))

def numbers():
    return (torch.randn(5, 2, 8), torch.randn(5)), (torch.randn(2, 2, 8), torch.randn(2))

def words():
    return "train", "validation"

def alone():
    return Noisy()

def broken():
    raise KeyError("path")

class Odd(Noisy):
    def __getitem__(self, index):
        return {"x": 1}

def odd():
    return Odd(), Odd()
"""


@pytest.fixture
def trust(tmp_path: Path) -> tuple[str]:
    module = f"plates_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(CODE)
    return (str(tmp_path),)


def named(trust: tuple[str], function: str) -> str:
    return f"{next(Path(trust[0]).glob('*.py')).stem}:{function}"


def test_a_data_set_of_torch_is_taken_as_it_is(trust: tuple[str]) -> None:
    opened = open_data(named(trust, "noisy"), trust=trust)
    facts = opened.facts
    assert (facts.num_classes, facts.num_train, facts.channels, facts.size) == (3, 9, 1, 4)
    examples, labels = opened.split((1, 4, 4)).train.batch(torch.tensor([4, 2]))
    assert examples.shape == (2, 1, 4, 4)
    assert labels.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"has examples \(1, 4, 4\), but the network expects \(3, 4, 4\)"):
        opened.split((3, 4, 4))


def test_what_an_item_draws_depends_on_seed_epoch_and_index_alone(trust: tuple[str]) -> None:
    train = load(named(trust, "noisy"), image_shape=(1, 4, 4), trust=trust).train
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    def item(seed: int, epoch: int, indices: list[int]) -> torch.Tensor:
        return augmented(train, "none", seed=seed, epoch=epoch).batch(torch.tensor(indices))[0][-1]

    assert torch.equal(item(0, 1, [3, 7]), item(0, 1, [7]))
    assert not torch.equal(item(0, 1, [7]), item(0, 2, [7]))
    assert not torch.equal(item(0, 1, [7]), item(1, 1, [7]))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


def test_bytes_are_images_and_the_callable_gets_what_it_takes(trust: tuple[str]) -> None:
    name = named(trust, "pictures")
    opened = open_data(name, folder="/data", trust=trust, image_shape=(3, 8, 8), seed=5)
    assert opened.facts.num_classes == 4
    split = opened.split((3, 8, 8))
    images, _ = split.train.batch(torch.arange(6))
    assert images.shape == (6, 3, 8, 8)
    assert abs(float(images.mean())) < 1e-5
    torch.testing.assert_close(split.validation.batch(torch.arange(2))[0], images[:2])


def test_numbers_with_a_fraction_are_not_changed(trust: tuple[str]) -> None:
    split = load(named(trust, "numbers"), image_shape=(2, 8), trust=trust)
    examples, targets = split.train.batch(torch.tensor([1]))
    assert (examples.shape, targets.shape, targets.dtype) == ((1, 2, 8), (1,), torch.float32)
    assert split.facts.num_classes == 0
    with pytest.raises(DataError, match="choose 'none'"):
        augmented(split.train, "shift", seed=0, epoch=0).batch(torch.tensor([1]))


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        ("words", DataError, "str is no data set|items|pair"),
        ("alone", DataError, "must return a pair"),
        ("broken", InvalidSettingError, "KeyError"),
        ("odd", DataError, "item 0 is dict; it must be a pair"),
        ("missing", InvalidSettingError, "has no 'missing'"),
    ],
)
def test_code_that_does_not_work_is_refused_in_words(
    function: str, error: type[Exception], words: str, trust: tuple[str]
) -> None:
    with pytest.raises(error, match=words):
        open_data(named(trust, function), trust=trust)


def test_only_trusted_folders_are_looked_into(trust: tuple[str], tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="no module"):
        open_data(named(trust, "noisy"), trust=(str(tmp_path / "elsewhere"),))
