"""Gradients of the bi-level methods against exact ones, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nasviz.nas.bilevel import Lookahead, architecture_gradient, darts_steps, milenas_steps
from nasviz.nas.update_steps import TrialPoint, UpdateStep, descend, gradient


def tensors(*shapes: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_() for n in shapes]


W, ALPHA = tensors(3, 2, seed=0), tensors(2, 3, seed=1)


def train(weights, alphas) -> Tensor:
    shares = alphas[0].softmax(0)
    mixed = shares[0] * weights[0].square().sum() + shares[1] * (weights[1] - alphas[1][:2]).square().sum()
    return mixed + 0.1 * (weights[0] * alphas[1]).sin().sum()


def validation(weights, alphas) -> Tensor:
    return (weights[0] - alphas[1]).square().sum() + (weights[1] * alphas[0].softmax(0)).square().sum()


def run(generator):
    """What a generator yields, and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as stop:
            return seen, stop.value


def exact(xi: float, momentum: float = 0.0, decay: float = 0.0, velocity=None) -> tuple[Tensor, ...]:
    """Gradient of L_val(w'(alpha), alpha), by differentiating through the step."""
    grads = torch.autograd.grad(train(W, ALPHA), W, create_graph=True)
    velocity = velocity or [torch.zeros_like(w) for w in W]
    ahead = [w - xi * (momentum * v + g + decay * w) for w, v, g in zip(W, velocity, grads, strict=True)]
    return torch.autograd.grad(validation(ahead, ALPHA), ALPHA)


def test_first_order_is_the_plain_gradient() -> None:
    looks, (grads, loss) = run(architecture_gradient(train, validation, W, ALPHA))
    torch.testing.assert_close(grads, torch.autograd.grad(validation(W, ALPHA), ALPHA), rtol=0, atol=0)
    assert looks == []
    assert loss.item() == validation(W, ALPHA).item()


@pytest.mark.parametrize("xi", [0.05, 0.5])
def test_second_order_is_the_gradient_through_the_step(xi: float) -> None:
    velocity = tuple(tensors(3, 2, seed=2))
    for settings in ((0.0, 0.0, None), (0.9, 3e-4, velocity)):
        looks, (grads, loss) = run(
            architecture_gradient(train, validation, W, ALPHA, Lookahead(xi, *settings))
        )
        # The difference has an error of the order of its reach squared, which is 1e-4 here.
        torch.testing.assert_close(grads, exact(xi, *settings), rtol=1e-4, atol=1e-5)
        assert [look.symbol for look in looks] == ["w'", "w+", "w-"]
        assert loss.item() == validation(looks[0].weights, ALPHA).item()


def test_second_order_differs_from_first() -> None:
    _, (first, _) = run(architecture_gradient(train, validation, W, ALPHA))
    _, (second, _) = run(architecture_gradient(train, validation, W, ALPHA, Lookahead(0.5)))
    assert (first[0] - second[0]).abs().max() > 0.01


def test_the_step_ahead_is_that_of_sgd() -> None:
    settings = {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.01}
    weights = tensors(3, 2, seed=5)
    sgd = torch.optim.SGD(weights, **settings)
    for _ in range(2):
        before = [w.detach().clone().requires_grad_() for w in weights]
        velocity = tuple(sgd.state[w]["momentum_buffer"] for w in weights if sgd.state[w]) or None
        grads = gradient(train(weights, ALPHA), weights)
        ahead = Lookahead(0.3, 0.9, 0.01, velocity).from_(before, grads)
        for w, g in zip(weights, grads, strict=True):
            w.grad = g
        sgd.step()
        torch.testing.assert_close(list(ahead), [w.detach() for w in weights], rtol=1e-14, atol=1e-14)
    assert velocity is not None


def test_the_weights_stay_where_they_are_while_alpha_is_looked_for() -> None:
    before = [w.detach().clone() for w in W]
    run(architecture_gradient(train, validation, W, ALPHA, Lookahead(0.1)))
    assert all(torch.equal(a, b) for a, b in zip(before, W, strict=True))


def test_a_validation_loss_that_is_flat_in_the_weights_is_no_trouble() -> None:
    def flat(weights, alphas) -> Tensor:
        return alphas[0].square().sum()

    _, (grads, _) = run(architecture_gradient(train, flat, W, ALPHA, Lookahead(0.1)))
    torch.testing.assert_close(grads[0], 2 * ALPHA[0].detach())
    assert not grads[1].any()


def test_milenas_mixes_both_losses_at_the_new_weights() -> None:
    w, alphas = tensors(3, 2, seed=0), tensors(2, 3, seed=1)
    steps = milenas_steps(train, validation, w, alphas, validation_weight=2.5)
    first = next(steps)
    assert isinstance(first, UpdateStep)
    assert first.variable == "w"
    with torch.no_grad():
        for weight, g in zip(w, first.gradient, strict=True):
            weight -= 0.1 * g
    second = next(steps)
    expected = torch.autograd.grad(train(w, alphas) + 2.5 * validation(w, alphas), alphas)
    torch.testing.assert_close(second.gradient, expected, rtol=0, atol=0)


def test_darts_moves_alpha_first_and_the_weights_at_the_new_alpha() -> None:
    w, alphas = tensors(3, 2, seed=0), tensors(2, 3, seed=1)
    steps = darts_steps(train, validation, w, alphas, Lookahead(0.1))
    made = list(descend(steps, {"w": w, "alpha": alphas}, {"w": 0.0, "alpha": 0.2}))
    assert [step.symbol if isinstance(step, TrialPoint) else step.variable for step in made] == [
        "w'",
        "w+",
        "w-",
        "alpha",
        "w",
    ]
    expected = torch.autograd.grad(train(w, alphas), w)
    torch.testing.assert_close(made[-1].gradient, expected, rtol=0, atol=0)
