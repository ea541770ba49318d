"""The methods as optimizers of a small network: their steps by hand, their statistics, their state."""

from __future__ import annotations

import io

import pytest
import torch

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.nas.methods import DARTS
from nasviz.nas.rarts import Relaxation
from nasviz.nas.relaxed_optimizer import architecture_adam
from nasviz.nas.update_steps import UpdateStep
from tests.nas.mixed import METHODS, Mixed, batch_loss, build, train

names = pytest.mark.parametrize("name", METHODS)


def bits(net, optimizer) -> list[torch.Tensor]:
    copies = [t for copy in optimizer.state_dict()["copies"] for t in (*copy["weights"], *copy["statistics"])]
    return [*net.state_dict().values(), *copies]


@names
def test_both_losses_fall_and_the_architecture_moves(name: str) -> None:
    net, optimizer = build(name)
    before = [alpha.detach().clone() for alpha in net.alphas]
    closures = batch_loss(net, 0), batch_loss(net, 1)
    losses = [optimizer.step(*closures).item() for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]
    assert all((a - b).abs().max() > 0.05 for a, b in zip(before, net.alphas, strict=True))


@names
def test_a_saved_search_goes_on_bit_by_bit(name: str) -> None:
    net, optimizer = build(name)
    train(net, optimizer, 0, 7)
    network, file = {k: v.clone() for k, v in net.state_dict().items()}, io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    expected = train(net, optimizer, 7, 12)

    other, again = build(name, seed=9)
    train(other, again, 0, 2)
    other.load_state_dict(network)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert again.num_steps == 7
    assert train(other, again, 7, 12) == expected
    assert all(torch.equal(a, b) for a, b in zip(bits(net, optimizer), bits(other, again), strict=True))


@names
def test_the_architecture_stays_while_warming_up(name: str) -> None:
    net, optimizer = build(name, warmup_steps=3)
    before = [alpha.detach().clone() for alpha in net.alphas]
    weights = [w.detach().clone() for w in net.weights()]
    assert optimizer.phase == "warm-up"
    train(net, optimizer, 0, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, net.alphas, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(weights, net.weights(), strict=True))
    assert optimizer.phase == "search"
    train(net, optimizer, 3, 4)
    assert not any(torch.equal(a, b) for a, b in zip(before, net.alphas, strict=True))


def test_first_order_darts_is_adam_on_one_half_and_sgd_on_the_other() -> None:
    net, optimizer = build("darts first", clip=float("inf"))
    twin, _ = build("darts first")
    sgd = torch.optim.SGD(twin.weights(), lr=0.05, momentum=0.9, weight_decay=3e-4)
    adam = architecture_adam(twin.alphas, lr=0.01)
    for step in range(5):
        optimizer.step(batch_loss(net, 2 * step), batch_loss(net, 2 * step + 1))
        for number, own in ((2 * step + 1, adam), (2 * step, sgd)):
            twin.zero_grad()
            batch_loss(twin, number)().backward()
            own.step()
    for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_second_order_looks_where_sgd_goes() -> None:
    """At the second step momentum is at work; w' must be where the weights are after a step by L_train."""
    net, optimizer = build("darts second", clip=float("inf"), dtype=torch.float64)
    twin, other = build("darts second", clip=float("inf"), dtype=torch.float64)
    for n, o in ((net, optimizer), (twin, other)):
        o.step(batch_loss(n, 0, torch.float64), batch_loss(n, 1, torch.float64))
    ahead = next(
        s.weights
        for s in optimizer._iteration(
            *(optimizer._functional.loss(batch_loss(net, i, torch.float64)) for i in (2, 3))
        )
    )
    for parameter in twin.parameters():
        parameter.grad = None
    batch_loss(twin, 2, torch.float64)().backward()
    other.inner.step()
    for a, b in zip(ahead, twin.weights(), strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-12, atol=1e-12)


def test_each_copy_of_rarts_has_statistics_of_its_own() -> None:
    net, optimizer = build("rarts")
    train(net, optimizer, 0, 3)
    own = net.edges[0][0][1]
    auxiliary = optimizer.auxiliary.statistics
    assert own.num_batches_tracked.item() == auxiliary[2].item() == 6  # twice a step each
    assert not torch.equal(own.running_mean, auxiliary[0])


def test_looking_ahead_leaves_the_statistics_alone() -> None:
    first, second = build("darts first"), build("darts second")
    for net, optimizer in (first, second):
        train(net, optimizer, 0, 3)
    seen = [net.edges[0][0][1].num_batches_tracked.item() for net, _ in (first, second)]
    assert seen == [6, 6]  # one batch of each half; at second order L_train twice, and L_val at w' only


def test_the_spring_draws_the_copies_together() -> None:
    def distance(coupling: float) -> float:
        net, optimizer = build("rarts", relaxation=Relaxation(1.0, coupling))
        train(net, optimizer, 0, 40)
        pairs = zip(optimizer.weights, optimizer.auxiliary.weights, strict=True)
        return sum((u - w).square().sum().item() for u, w in pairs) ** 0.5

    assert distance(1.0) < 0.5 * distance(0.0)


def test_every_move_is_told_before_it_is_made() -> None:
    net, optimizer = build("rarts")
    told: list[UpdateStep] = []
    before = net.stem.weight.detach().clone()

    def hear(move: UpdateStep) -> None:
        told.append(move)
        assert torch.equal(net.stem.weight, before) == (len(told) <= 2)

    loss = optimizer.step(batch_loss(net, 0), batch_loss(net, 1), hear)
    assert [move.variable for move in told] == ["w", "u", "alpha"]
    assert loss is told[1].loss


def test_what_cannot_work_is_refused() -> None:
    net = Mixed()
    sgd, adam = torch.optim.SGD(net.weights(), lr=0.1), architecture_adam(net.alphas)
    with pytest.raises(InvalidSettingError, match="order='third'"):
        DARTS(net, sgd, adam, order="third")
    with pytest.raises(InvalidSettingError, match="warmup_steps=-1"):
        DARTS(net, sgd, adam, warmup_steps=-1)
    made = DARTS(net, sgd, adam)
    with pytest.raises(InvalidSettingError, match="before the search"):
        made.add_param_group({"params": [torch.zeros(1)]})
    with pytest.raises(CheckpointError, match="'RARTS'"):
        made.load_state_dict({"class": "RARTS"})


def test_schedules_act_on_all_weights_and_on_nothing_else() -> None:
    for name in METHODS:
        net, optimizer = build(name)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        for step in range(4):
            train(net, optimizer, step, step + 1)
            scheduler.step()
        assert all(group["lr"] < 1e-12 for group in optimizer.param_groups)
        assert optimizer.architecture.param_groups[0]["lr"] == 0.01
