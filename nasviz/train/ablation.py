"""The ablation of sparse optimizers on digits: one level, the penalty on the weights (SparseNAS, figure 3).

A perceptron 64-40-20-10 learns scikit-learn's digits. Groups are neurons and input features, each with its
outgoing weights (Scardapane et al. 2017); biases are not penalised. SGD and Adam follow a subgradient of the
penalty, HAPG and AdamHAPG its proximal map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, Adam, Optimizer

from nasviz import data
from nasviz.data import DataSplit, epoch_order
from nasviz.data.images import ImageSet
from nasviz.errors import UnknownNameError
from nasviz.models.mlp_digits import MlpDigits
from nasviz.optim import HAPG, AdamHAPG, Slices
from nasviz.runs.ablation import AblationPoint

__all__ = ["OPTIMIZERS", "REGULARISERS", "STRENGTHS", "THRESHOLDS", "digits_ablation", "train_sparse"]

REGULARISERS = {"lasso": 1.0, "gl": 0.0, "sgl": 0.5}
"""alpha of each: the share of the penalty that is on single weights."""
OPTIMIZERS = {"sgd": 0.1, "adam": 1e-3, "hapg": 0.05, "adamhapg": 3e-4}
"""Learning rate of each."""
STRENGTHS = tuple(10**power for power in (-5.0, -4.75, -4.5, -4.25, -4.0, -3.7))
"""lambda, as the figure has it."""
COMPARED = (
    ("sgd", "sgl"),
    ("adam", "sgl"),
    ("hapg", "sgl"),
    ("adamhapg", "sgl"),
    ("hapg", "lasso"),
    ("hapg", "gl"),
)
"""The four optimizers with one regulariser, and one optimizer with the three."""
THRESHOLDS = (0.0, 1e-3)
INERTIA_CAP = 0.9
"""With the published u_t, which tends to 1, AdamHAPG ends at chance here after some hundred steps."""
EPOCHS, BATCH_SIZE = 60, 64


def digits_ablation(
    *,
    seeds: Sequence[int] = (0, 1, 2),
    strengths: Sequence[float] = STRENGTHS,
    compared: Sequence[tuple[str, str]] = COMPARED,
    epochs: int = EPOCHS,
    known: Iterable[AblationPoint] = (),
) -> Iterator[AblationPoint]:
    """Train each optimizer and regulariser with each lambda and seed; yield two judgements of each network.

    Args:
        seeds: Of weights and order.
        strengths: Values of lambda.
        compared: Pairs of an optimizer and a regulariser.
        epochs: Of each training.
        known: Results that are there already, and are left out.

    Raises:
        UnknownNameError: There is no such optimizer or regulariser.
    """
    done = {(p.seed, p.optimizer, p.regulariser, p.strength) for p in known if p.threshold == THRESHOLDS[-1]}
    for seed in seeds:
        for optimizer, regulariser in compared:
            for strength in strengths:
                if (seed, optimizer, regulariser, strength) in done:
                    continue
                model = train_sparse(optimizer, regulariser, strength, seed=seed, epochs=epochs)
                for threshold in THRESHOLDS:
                    accuracy, features, neurons, zeros = _judge(model, threshold)
                    yield AblationPoint(
                        optimizer, regulariser, strength, seed, threshold, accuracy, features, neurons, zeros
                    )


def train_sparse(
    optimizer: str, regulariser: str, strength: float, *, seed: int = 0, epochs: int = EPOCHS
) -> MlpDigits:
    """The perceptron, trained by one optimizer with one penalty; proximal ones end at their proximal point.

    Raises:
        UnknownNameError: There is no such optimizer or regulariser.
    """
    for name, known in ((optimizer, OPTIMIZERS), (regulariser, REGULARISERS)):
        if name not in known:
            raise UnknownNameError(f"no {name!r} in this comparison; choose one of {', '.join(known)}")
    images = _images().train
    torch.manual_seed(seed)
    model, alpha = MlpDigits(), REGULARISERS[regulariser]
    updates = _optimizer(optimizer, model, strength, alpha)
    x, labels = images.batch(torch.arange(len(images)))
    for epoch in range(epochs):
        for chosen in torch.split(epoch_order(len(images), seed, epoch), BATCH_SIZE):
            updates.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(model(x[chosen]), labels[chosen])
            if not isinstance(updates, HAPG):
                loss = loss + _penalty(model, strength, alpha)
            loss.backward()  # type: ignore[no-untyped-call]
            updates.step()
    if isinstance(updates, HAPG):
        updates.settle_()
    return model


def _images() -> DataSplit:
    """Return digits whose black pixels are 0, as the document feeds them: 64 features as they are.

    Centred by their mean, black pixels would be -0.81, and the constant ones at the margin would act as
    biases, which keep their gradient.
    """
    split = data.load("digits", image_shape=(1, 8, 8))
    assert isinstance(split.train, ImageSet), "digits are stored images"
    assert isinstance(split.validation, ImageSet), "digits are stored images"
    return replace(
        split, train=replace(split.train, mean=0.0), validation=replace(split.validation, mean=0.0)
    )


def _weights(model: MlpDigits) -> list[Tensor]:
    return [model.linear1.weight, model.linear2.weight, model.linear3.weight]


def _optimizer(name: str, model: MlpDigits, strength: float, alpha: float) -> Optimizer:
    rate = OPTIMIZERS[name]
    if name in ("sgd", "adam"):
        return SGD(model.parameters(), rate) if name == "sgd" else Adam(model.parameters(), rate)
    columns = [Slices(weight, 1) for weight in _weights(model)]  # torch keeps outgoing weights in columns
    return (HAPG if name == "hapg" else AdamHAPG)(
        model.parameters(),
        slices=columns,
        lr=rate,
        strength=strength,
        alpha=alpha,
        inertia_cap=INERTIA_CAP,
    )


def _penalty(model: MlpDigits, strength: float, alpha: float) -> Tensor:
    """Lambda (alpha ||w||_1 + (1 - alpha) sum of sqrt|g| ||w_g||)."""
    total = torch.zeros(())
    for weight in _weights(model):
        lengths = weight.norm(dim=0)
        total = total + alpha * weight.abs().sum() + (1 - alpha) * weight.shape[0] ** 0.5 * lengths.sum()
    return strength * total


@torch.no_grad()
def _judge(model: MlpDigits, threshold: float) -> tuple[float, int, int, float]:
    """Accuracy, features, neurons and zeros with small weights at zero; the network is left as it was."""
    images = _images().validation
    before = [weight.clone() for weight in _weights(model)]
    for weight in _weights(model):
        weight[weight.abs() <= threshold] = 0
    x, labels = images.batch(torch.arange(len(images)))
    accuracy = float((model(x).argmax(1) == labels).float().mean())
    used = [int(weight.any(0).sum()) for weight in _weights(model)]
    zeros = 1 - sum(int(weight.count_nonzero()) for weight in _weights(model)) / 3560
    for weight, value in zip(_weights(model), before, strict=True):
        weight.copy_(value)
    return accuracy, used[0], used[1] + used[2], zeros
