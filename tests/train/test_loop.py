"""The loop yields one record a step; batches depend on seed, epoch and position alone."""

import math
from itertools import islice

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from nasviz.data import load
from nasviz.errors import DataError
from nasviz.train import open_session, train
from nasviz.train.batches import epoch_batches
from nasviz.train.evaluation import evaluate
from nasviz.train.objective import AUXILIARY_WEIGHT, classification_loss
from tests.train.conftest import short_settings

IMAGES = load("digits", image_shape=(1, 8, 8)).train


def test_every_step_yields_one_record_in_its_phase() -> None:
    session = open_session(short_settings())
    records = list(train(session))

    assert [record.step for record in records] == list(range(22))
    assert [record.phase for record in records] == ["warm-up"] * 8 + ["projection"] * 8 + ["training"] * 6
    assert records[-1].zero_groups == len(session.optimizer.selected) == 3
    assert session.space.is_valid(session.optimizer.selected)
    assert all(r.seconds > 0 and r.examples_per_second > 0 and r.memory_mb > 0 for r in records)


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    rates = [record.lr for record in train(open_session(short_settings()))]
    expected = [0.05 * (1 + math.cos(math.pi * step / 22)) / 2 for step in range(22)]

    assert rates == pytest.approx(expected, rel=1e-6)


def test_the_cosine_may_run_several_times_or_not_at_all() -> None:
    rates = [record.lr for record in train(open_session(short_settings(lr_periods=3)))]
    expected = [0.05 * (1 + math.cos(math.pi * (step % 8) / 8)) / 2 for step in range(22)]  # 22 / 3 rounds up

    assert rates == pytest.approx(expected, rel=1e-6)
    constant = open_session(short_settings(lr_schedule="constant"))
    assert {record.lr for record in train(constant)} == {0.05}


def test_the_rate_may_fall_by_steps() -> None:
    settings = short_settings(lr_schedule="step", lr_decay=0.1, lr_decay_epochs=1)
    rates = [record.lr for record in train(open_session(settings))]
    num_steps = len(rates) // settings.epochs
    assert rates == pytest.approx([0.05 * 0.1 ** (step // num_steps) for step in range(len(rates))])
    assert len(set(rates)) == settings.epochs > 1


def test_a_loop_that_was_left_goes_on_at_the_next_step() -> None:
    whole = [float(r.loss) for r in train(open_session(short_settings()))]
    session = open_session(short_settings())
    parts = [float(r.loss) for _ in range(3) for r in islice(train(session), 7)]

    assert parts == whole[:21]


def test_an_epoch_can_be_entered_anywhere() -> None:
    whole = [labels for _, labels in epoch_batches(IMAGES, seed=3, epoch=1, batch_size=100)]
    rest = [labels for _, labels in epoch_batches(IMAGES, seed=3, epoch=1, batch_size=100, start=9)]

    assert len(whole) == 14
    assert all(torch.equal(a, b) for a, b in zip(whole[9:], rest, strict=True))
    other = [labels for _, labels in epoch_batches(IMAGES, seed=4, epoch=1, batch_size=100)]
    assert not torch.equal(torch.cat(whole), torch.cat(other))


def test_processes_that_load_change_neither_batches_nor_generators() -> None:
    state = torch.get_rng_state()
    alone = list(epoch_batches(IMAGES, seed=0, epoch=0, batch_size=400))
    helped = list(epoch_batches(IMAGES, seed=0, epoch=0, batch_size=400, num_workers=1))

    for (images, labels), (same_images, same_labels) in zip(alone, helped, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert torch.equal(state, torch.get_rng_state())


def test_evaluation_does_not_depend_on_its_batch_size_and_leaves_the_network_as_it_was() -> None:
    session = open_session(short_settings())
    images = session.split.validation
    before = {name: tensor.clone() for name, tensor in session.network.state_dict().items()}
    results = [evaluate(session.network, images, device=session.device, batch_size=b) for b in (50, 360)]

    assert results[0][:3] == pytest.approx(results[1][:3], rel=1e-5)
    assert session.network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in session.network.state_dict().items())


def test_further_heads_count_less() -> None:
    main, further, labels = torch.randn(4, 10), torch.randn(4, 10), torch.arange(4)
    alone, _ = classification_loss(main, labels)
    second, _ = classification_loss(further, labels)

    for output in ({"logits": main, "extra": further}, (main, further)):
        loss, accuracy = classification_loss(output, labels)
        torch.testing.assert_close(loss, alone + AUXILIARY_WEIGHT * second)
        assert accuracy == (main.argmax(1) == labels).float().mean()


def test_mixed_and_smoothed_labels_make_the_loss_of_their_probabilities() -> None:
    logits, labels, partners = torch.randn(4, 10), torch.arange(4), torch.tensor([3, 1, 0, 2])
    loss, accuracy = classification_loss(logits, labels, partners=partners, share=0.75, smoothing=0.1)
    wanted = 0.9 * (0.75 * one_hot(labels, 10) + 0.25 * one_hot(partners, 10)) + 0.1 / 10

    torch.testing.assert_close(loss, cross_entropy(logits, wanted))
    answers = logits.argmax(1)
    right = 0.75 * (answers == labels).float() + 0.25 * (answers == partners).float()
    torch.testing.assert_close(accuracy, right.mean())


def test_a_network_without_class_scores_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(N, classes\).*\(2, 3, 8, 8\)"):
        classification_loss(torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64))
