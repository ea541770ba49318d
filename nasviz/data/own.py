"""Data sets from a user's own Python: a callable that returns training and validation data.

Both are map-style data sets of torch, whose items are pairs of an example and a label, or pairs of tensors of
all examples and all labels. Networks of several inputs take examples that are tuples or dicts of tensors; an
item may also be a dict with the entry "labels" or "label". Of a `DataLoader`, the data set and `collate_fn`
are used: batch size and order are those of the run. Byte tensors are images, which are resized and normalized
like any others; floating-point examples are not changed. The callable receives `folder`, `image_shape` and
`seed` if it has arguments of these names. The generators of torch, NumPy and Python are seeded from seed,
epoch and index for each item, so that a run resumes exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, default_collate

from nasviz.catalog import DataFacts
from nasviz.data.images import Crop, DataSplit, Images, ImageSet, check_image_shape
from nasviz.errors import DataError, NasvizError
from nasviz.models.user_code import call_with, import_callable

__all__ = ["TARGETS", "OwnData", "OwnSet", "check_labels", "open_own", "parts_of"]

TARGETS = ("labels", "label")
"""Entries of a batch that is a dict which hold its target."""

_LEAST_STD = 1e-6


@dataclass(frozen=True, eq=False)
class OwnSet:
    """Examples of a user's data set, made one item at a time."""

    items: Any
    """A sequence of examples with labels."""
    name: str
    seed: int = 0
    epoch: int | None = None
    """Epoch of training, or `None` for validation."""
    num_classes: int | None = None
    """Outputs of the network, to check labels against; `None` accepts any label."""
    collate: Callable[[list[Any]], Any] = default_collate
    """Makes a batch of items."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def device(self) -> torch.device:
        """The CPU, where items are made."""
        return torch.device("cpu")

    @property
    def labels(self) -> Tensor | None:
        """All labels if they are in memory, else `None`."""
        return self.items.labels.cpu() if isinstance(self.items, _Pairs) else None

    def to(self, device: torch.device | str) -> OwnSet:
        """Return the set itself: items are made on the CPU."""
        return self

    def in_epoch(self, seed: int, epoch: int) -> OwnSet:
        """Return the set in this epoch, after a call of the user's `set_epoch`, if any."""
        if hasattr(self.items, "set_epoch"):
            self.items.set_epoch(epoch)
        return replace(self, seed=seed, epoch=epoch)

    def black(self) -> float:
        """Return 0: the meaning of a pixel in a user's data is unknown."""
        return 0.0

    def batch(self, indices: Tensor, crop: Crop | None = None) -> tuple[Any, Any]:
        """Return inputs and target, collated.

        Raises:
            DataError: An item cannot be made, has no label, or does not fit the others.
        """
        if crop is not None:
            raise DataError("augmentation='resized_crop' is for images; crop in your own data set instead")
        try:
            with _preserve_generators():
                items = [self._item(int(index)) for index in indices]
            batch = self.collate(items)
        except NasvizError:
            raise
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            words = f"{type(error).__name__}: {str(error)[:300]}"
            raise DataError(f"{self.name}: an item of its data set raised {words}") from error
        inputs, labels = self._parts(batch)
        if self.num_classes is not None and isinstance(labels, Tensor) and labels.dim() == 1:
            check_labels(labels, self.num_classes, self.name)  # on the host, without synchronization
            labels = labels.to(torch.int64)
        return inputs, labels

    def _parts(self, batch: Any) -> tuple[Any, Any]:
        """Return inputs and target of a batch."""
        inputs, labels = parts_of(batch)
        leaves = pytree.tree_leaves((inputs, labels))
        if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
            odd = next((type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)), "nothing")
            raise DataError(
                f"{self.name}: items must be pairs of an example and a label, made of tensors or numbers; got"
                f" {odd} among them"
            )
        return inputs, labels

    def _item(self, index: int) -> Any:
        part = "judging" if self.epoch is None else f"{self.seed}/{self.epoch}"
        digest = sha256(f"item/{part}/{index}".encode()).digest()
        torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        np.random.seed(int.from_bytes(digest[8:12], "big"))  # noqa: NPY002 (the generator of users' code)
        random.seed(digest)
        item = self.items[index]
        if isinstance(item, Mapping) and any(name in item for name in TARGETS):
            return item
        if not isinstance(item, Sequence) or len(item) != 2:
            raise DataError(
                f"{self.name}: item {index} is {type(item).__name__}; it must be a pair of example and label,"
                f" or a dict with the entry {' or '.join(TARGETS)}"
            )
        return item[0], item[1]


def parts_of(batch: Any) -> tuple[Any, Any]:
    """Return inputs and target of a batch: a pair, or a dict with the target under "labels" or "label".

    Raises:
        DataError: It is neither.

    Examples:
        >>> parts_of([1, 2]), parts_of({"x": 1, "label": 2})
        ((1, 2), ({'x': 1, 'label': 2}, 2))
    """
    if isinstance(batch, Mapping):
        name = next((name for name in TARGETS if name in batch), None)
        if name is not None:
            return dict(batch), batch[name]
    elif isinstance(batch, Sequence) and len(batch) == 2:
        inputs, target = batch
        return tuple(inputs) if isinstance(inputs, list) else inputs, target
    raise DataError(
        f"a batch must be a pair of inputs and target, or a dict with the entry {' or '.join(TARGETS)};"
        f" got {type(batch).__name__}"
    )


def check_labels(labels: Tensor, num_classes: int, name: str) -> None:
    """Check that `labels` are classes of a network with `num_classes` outputs.

    Args:
        labels: Labels on the host.
        num_classes: Number of outputs of the network.
        name: Name of the data set, for the message.

    Raises:
        DataError: A label is out of range, or the labels are not integers.

    Examples:
        >>> check_labels(torch.tensor([0, 9]), 10, "digits")
        >>> check_labels(torch.tensor([0, 10]), 10, "mine")
        Traceback (most recent call last):
        ...
        nasviz.errors.DataError: mine holds the label 10, and the network has 10 outputs, for ...
    """
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise DataError(
            f"labels of {name} are {labels.dtype}; cross-entropy needs whole numbers from 0 to"
            f" {num_classes - 1}: convert them with `.long()`, or use a loss of your own"
        )
    lowest, highest = (int(value) for value in torch.aminmax(labels))
    if lowest < 0 or highest >= num_classes:
        odd = lowest if lowest < 0 else highest
        raise DataError(
            f"{name} holds the label {odd}, and the network has {num_classes} outputs, for the classes 0 to"
            f" {num_classes - 1}: correct the labels, or give the network more classes"
        )


@contextmanager
def _preserve_generators() -> Iterator[None]:
    """Restore the global generators on exit."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


@dataclass(frozen=True, eq=False)
class OwnData:
    """Data returned by a user's callable, and their facts."""

    name: str
    facts: DataFacts
    train: Any
    validation: Any

    def split(self, image_shape: tuple[int, ...]) -> DataSplit:
        """Return training and validation examples; byte images are converted to `image_shape`.

        Raises:
            DataError: The examples do not fit a network that reads this shape.
        """
        train = _part(self.train, self.name, image_shape, None)
        validation = _part(self.validation, self.name, image_shape, train)
        shape = _example_shape(train)
        # Several inputs are compared with the arguments of the network when it is called.
        if shape is not None and shape != tuple(image_shape):
            raise DataError(f"{self.name} has examples {shape}, but the network expects {tuple(image_shape)}")
        return DataSplit(self.facts, train, validation)


def open_own(
    name: str,
    trust: Sequence[str],
    *,
    folder: Path | None = None,
    image_shape: tuple[int, ...] | None = None,
    seed: int = 0,
) -> OwnData:
    """Call `package.module:callable` from a trusted folder, and inspect its result.

    Raises:
        InvalidSettingError: The callable does not exist, or fails.
        DataError: It does not return a pair of data sets.
    """
    offered = {"folder": folder, "image_shape": image_shape, "seed": seed}
    with import_callable(name, trust) as target:
        if not callable(target):
            raise DataError(f"{name} is {type(target).__name__}; pass a function that returns two data sets")
        return _opened(call_with(target, name, {}, offered), name)


def open_registered(facts: DataFacts, **offered: Any) -> OwnData:
    """Call the function of a registered data set, and check what it returns against its declaration.

    Raises:
        InvalidSettingError: The function fails.
        DataError: It does not return a pair of data sets, or its data differ from the declaration.
    """
    assert facts.loader is not None
    opened = _opened(call_with(facts.loader, facts.name, {}, offered), facts.name)
    for what in ("channels", "num_classes"):
        declared, actual = getattr(facts, what), getattr(opened.facts, what)
        if actual not in (0, declared):  # 0: unknown without reading all items
            raise DataError(f"{facts.name} declares {what}={declared}, but its data have {actual}")
    found = replace(
        facts,
        size=opened.facts.size or facts.size,
        num_train=opened.facts.num_train,
        num_validation=opened.facts.num_validation,
    )
    return replace(opened, facts=found)


def _opened(found: Any, name: str) -> OwnData:
    if not isinstance(found, tuple) or len(found) != 2:
        raise DataError(
            f"{name} returned {type(found).__name__}; it must return a pair of training and validation data,"
            " each a data set of torch, a pair of tensors or a DataLoader"
        )
    train, validation = (_check_data_set(part, name) for part in found)
    shape = tuple(train[0].shape[1:]) if _is_bytes(train) else _example_shape(_part(train, name, (), None))
    facts = DataFacts(
        name,
        channels=shape[0] if shape is not None and len(shape) == 3 else 0,
        size=shape[-1] if shape else 0,
        num_classes=_num_classes(train),
        num_train=_length(train),
        num_validation=_length(validation),
        text="Your own Python.",
    )
    return OwnData(name, facts, train, validation)


def _example_shape(part: Images) -> tuple[int, ...] | None:
    """Return the shape of an example; None for several tensors."""
    inputs = part.batch(torch.arange(1))[0]
    return tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else None


def _is_bytes(part: Any) -> bool:
    return _is_pair(part) and isinstance(part[0], Tensor) and part[0].dtype == torch.uint8


def _is_pair(part: Any) -> bool:
    """Return whether data are the tensors of all examples and of all labels."""
    if not isinstance(part, tuple | list) or len(part) != 2 or not isinstance(part[1], Tensor):
        return False
    leaves = pytree.tree_leaves(part[0])
    return bool(leaves) and all(isinstance(leaf, Tensor) for leaf in leaves)


def _check_data_set(part: Any, name: str) -> Any:
    if _is_pair(part):
        examples, labels = part
        for leaf in pytree.tree_leaves(examples):
            if len(leaf) != len(labels) or len(leaf) == 0:
                raise DataError(f"{name}: {len(leaf)} examples, but {len(labels)} labels")
        return part
    kept = part.dataset if isinstance(part, DataLoader) else part
    if not (hasattr(kept, "__len__") and hasattr(kept, "__getitem__")) or len(kept) == 0:
        raise DataError(
            f"{name}: {type(kept).__name__} is no data set: it needs a positive length and items by index, so"
            " that a run can be resumed at any step"
        )
    return part


def _length(part: Any) -> int:
    items: Any = part.dataset if isinstance(part, DataLoader) else part
    return len(part[1]) if _is_pair(part) else len(items)


def _num_classes(part: Any) -> int:
    """Return the number of classes, from `classes` or from all labels; 0 if unknown."""
    part = part.dataset if isinstance(part, DataLoader) else part
    if hasattr(part, "classes"):
        return len(part.classes)
    labels = part[1] if _is_pair(part) else getattr(part, "targets", None)
    if labels is None:
        return 0
    labels = torch.as_tensor(labels)
    is_class = labels.dim() == 1 and not labels.is_floating_point()
    return int(labels.max()) + 1 if is_class else 0


def _part(part: Any, name: str, image_shape: tuple[int, ...], train: Images | None) -> Images:
    """Return images for byte tensors, normalized like the training images, else the examples unchanged."""
    if isinstance(part, DataLoader):
        return OwnSet(part.dataset, name, collate=part.collate_fn)
    if not _is_pair(part):
        return OwnSet(part, name)
    examples, labels = part
    labels = labels if labels.is_floating_point() else labels.to(torch.int64)
    if not isinstance(examples, Tensor) or examples.dtype != torch.uint8:
        return OwnSet(_Pairs(examples, labels), name)
    if examples.dim() != 4:
        raise DataError(f"{name}: byte images must be (N, C, H, W), not {tuple(examples.shape)}")
    shape = check_image_shape(image_shape, examples.shape[1])
    if isinstance(train, ImageSet):
        return replace(train, images=examples, labels=labels)
    means, deviations = [], []
    for channel in examples.unbind(1):
        values = channel.to(torch.float64) / 255
        means.append(float(values.mean()))
        deviations.append(max(float(values.std(correction=0)), _LEAST_STD))
    return ImageSet(examples, labels, tuple(means), tuple(deviations), 255.0, shape)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Items from tensors of all examples and labels."""

    examples: Any
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        return pytree.tree_map(lambda values: values[index], self.examples), self.labels[index]
