"""Everything that works with an optimizer of torch works with H2SPG."""

from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError
from tests.optim.problems import BASES, backward, build, equal, h2spg, train

SCHEDULES = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=8),
    "linear, then steps": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 3), torch.optim.lr_scheduler.StepLR(o, 2, 0.5)],
        [3],
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_drive_it_as_they_drive_the_inner_optimizer(schedule, recwarn):
    nets = plain, net = build(), build()
    optimizers = BASES["sgd momentum"](list(plain.parameters())), h2spg(net, warmup_steps=8)
    rates = []
    for one, optimizer in zip(nets, optimizers, strict=True):
        scheduler = SCHEDULES[schedule](optimizer)
        for step in range(7):
            train(one, optimizer, step, step + 1)
            scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:7] == rates[7:]
    assert len(set(rates)) > 2
    assert equal(plain, net)
    assert not [w for w in recwarn if "lr_scheduler" in str(w.message)]


def test_a_schedule_on_plateaus_reaches_the_inner_optimizer():
    net = build()
    optimizer = h2spg(net)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(2):
        scheduler.step(1.0)
    assert optimizer.inner.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_learning_rate_of_zero_is_no_division_by_zero():
    net = build()
    optimizer = h2spg(net, torch.optim.SGD(net.parameters(), lr=0.0), saliency="documents")
    train(net, optimizer, 0, 3)
    assert all(score == score for score in optimizer.scores.values())


def test_parameter_groups_keep_settings_of_their_own():
    plain, net = build(), build()

    def grouped(one):
        return torch.optim.SGD(
            [
                {"params": list(one.a.parameters()), "lr": 0.3},
                {"params": [p for n, p in one.named_parameters() if not n.startswith("a.")]},
            ],
            lr=0.01,
            momentum=0.9,
        )

    train(plain, grouped(plain), 0, 4)
    optimizer = h2spg(net, grouped(net))
    train(net, optimizer, 0, 4)
    assert equal(plain, net)
    train(net, optimizer, 4, 10)
    assert not net.a.weight.any()


def test_parameters_may_be_added_until_the_warm_up_ends():
    net, extra = build(), torch.nn.Parameter(torch.ones(2))
    optimizer = h2spg(net, "sgd")
    optimizer.add_param_group({"params": [extra], "lr": 0.5})
    extra.grad = torch.ones(2)
    train(net, optimizer, 0, 1)
    assert extra.tolist() == [0.5, 0.5]
    assert optimizer.param_groups is optimizer.inner.param_groups
    extra.grad = None
    train(net, optimizer, 1, 4)
    with pytest.raises(InvalidSettingError, match="before the warm-up ends"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})


def test_a_closure_is_evaluated_once_with_gradients_and_its_loss_returned():
    plain, net = build(), build()
    train(plain, BASES["sgd momentum"](list(plain.parameters())), 0, 3)
    optimizer, calls = h2spg(net), []
    for step in range(3):

        def closure(step=step):
            calls.append(step)
            return backward(net, step)

        loss = optimizer.step(closure)
        assert loss.item() > 0
    assert calls == [0, 1, 2]
    assert equal(plain, net)


def test_hooks_run_once_around_each_step():
    net = build()
    optimizer, calls = h2spg(net), []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.register_state_dict_pre_hook(lambda *_: calls.append("save"))
    optimizer.register_load_state_dict_post_hook(lambda *_: calls.append("load"))
    train(net, optimizer, 0, 2)
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["before", "after"] * 2 + ["save", "load"]


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_clears_all_gradients(set_to_none):
    net = build()
    optimizer = h2spg(net)
    backward(net, 0)
    optimizer.zero_grad(set_to_none=set_to_none)
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_steps_without_any_gradient_are_steps():
    net = build()
    optimizer = h2spg(net)
    for _ in range(9):
        optimizer.step()
    assert optimizer.phase == "training"
    assert set(optimizer.scores.values()) == {0.0}


@pytest.mark.parametrize("base", ["sgd momentum", "adam fused"])
def test_a_gradient_scaler_skips_the_steps_that_overflow(base):
    net = build()
    optimizer = h2spg(net, base)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for step in range(12):
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randn(16, 4, generator=generator), torch.randint(3, (16,), generator=generator)
        loss = torch.nn.functional.cross_entropy(net(x), y) * (float("inf") if step == 1 else 1)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.num_steps == 11
    assert optimizer.phase == "training"
    for name, mask in net.zeros().items():
        assert not dict(net.named_parameters())[name][mask].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_reach_exact_zeros_too(dtype):
    net = build().to(dtype)
    optimizer = h2spg(net)
    for step in range(10):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step)).to(dtype)
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    assert not net.a.weight.any()
    assert net.norm.weight.dtype == dtype
    assert all(score > 0 for i, score in optimizer.scores.items() if i != 9)


def test_lbfgs_and_nesting_are_refused():
    net = build()
    with pytest.raises(InvalidSettingError, match="LBFGS cannot be the inner optimizer"):
        h2spg(net, torch.optim.LBFGS(net.parameters()))
    with pytest.raises(InvalidSettingError, match="H2SPG cannot be the inner optimizer"):
        h2spg(net, h2spg(net))


def test_sparse_gradients_of_structures_are_refused_in_words():
    net = build()
    optimizer = h2spg(net, "sgd")
    backward(net, 0)
    net.a.weight.grad = net.a.weight.grad.to_sparse()
    with pytest.raises(InvalidSettingError, match="sparse=False"):
        optimizer.step()


@pytest.mark.gpu
@pytest.mark.parametrize("base", ["sgd momentum", "sgd fused", "adam amsgrad", "adamw"])
def test_on_a_gpu_zeros_are_exact_and_a_state_moves_over_from_the_cpu(base):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    net = build()
    optimizer = h2spg(net, base)
    train(net, optimizer, 0, 6)
    moved = build().cuda()
    moved.load_state_dict(net.state_dict())
    resumed = h2spg(moved, base)
    resumed.load_state_dict(optimizer.state_dict())
    for step in range(6, 12):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step)).cuda()
        resumed.zero_grad()
        moved(x).square().mean().backward()
        resumed.step()
    assert resumed.phase == "training"
    for name, mask in net.zeros().items():
        values = dict(moved.named_parameters())[name].cpu()
        assert not values[mask].any(), name
        assert values[~mask].all(), name
