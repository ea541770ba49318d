"""ProxSGD does the arithmetic of its paper, step by step, and comes back from its state to the bit."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.optim import ProxSGD
from nasviz.optim.proxsgd import UPDATES, SplittingSGD, SubgradientSGD, gains

DOUBLE = torch.float64


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=DOUBLE, requires_grad=True)


def reference(
    w: list[list[float]],
    grads: list[list[list[float]]],
    *,
    lr: float,
    rho: float,
    mu: float,
    tau: float | None,
) -> list[list[float]]:
    """Algorithm 1, number by number, without tensors."""
    v = [[0.0] * len(k) for k in w]
    r = [[0.0] * len(k) for k in w]
    for t, g in enumerate(grads, start=1):
        for k in range(len(w)):
            v[k] = [(1 - rho) * a + rho * b for a, b in zip(v[k], g[k], strict=True)]
            r[k] = [0.999 * a + 0.001 * b * b for a, b in zip(r[k], g[k], strict=True)]
            roots = [math.sqrt(a / (1 - 0.999**t)) for a in r[k]]
            curve = sum(roots) / len(roots) + 1e-8 if tau is None else tau
            trial = [a - b / curve for a, b in zip(w[k], v[k], strict=True)]
            norm = math.sqrt(sum(a * a for a in trial))
            factor = max(0.0, 1 - mu / curve / norm) if norm else 0.0
            w[k] = [(1 - lr) * a + lr * factor * b for a, b in zip(w[k], trial, strict=True)]
    return w


def test_the_worked_example() -> None:
    w = leaf(0.6, 0.8)
    optimizer = ProxSGD([w], {0: [w]}, lr=0.001, rho=0.8, mu=0.3)
    w.grad = torch.tensor([0.5, 0.0], dtype=DOUBLE)
    assert optimizer.penalty().item() == pytest.approx(0.3)
    optimizer.step()
    assert w.tolist() == pytest.approx([0.599527, 0.799709], abs=5e-7)
    whole = leaf(0.6, 0.8)
    optimizer = ProxSGD([whole], {0: [whole]}, lr=1.0, rho=0.8, mu=0.3)
    whole.grad = torch.tensor([0.5, 0.0], dtype=DOUBLE)
    optimizer.step()
    assert whole.tolist() == pytest.approx([0.127239, 0.508957], abs=5e-7)  # w^ itself


def test_the_adaptive_tau_of_the_worked_example() -> None:
    w = leaf(0.6, 0.8)
    optimizer = ProxSGD([w], {0: [w]}, lr=1.0, rho=1.0, tau=None)
    w.grad = torch.tensor([0.5, 0.0], dtype=DOUBLE)
    optimizer.step()
    assert w.tolist() == pytest.approx([0.6 - 0.5 / 0.25000001, 0.8], abs=1e-12)


@pytest.mark.parametrize("tau", [1.0, 0.3, None])
def test_many_steps_of_tied_groups_follow_the_algorithm(tau: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(n, generator=generator, dtype=DOUBLE).requires_grad_() for n in (3, 2, 4))
    given = [[torch.randn(n, generator=generator, dtype=DOUBLE) for n in (3, 2, 4)] for _ in range(12)]
    optimizer = ProxSGD([a, b, c], {5: [a, b], 9: [c]}, lr=0.2, rho=0.7, mu=0.4, tau=tau)
    wanted = reference(
        [[*a.tolist(), *b.tolist()], c.tolist()],
        [[[*x.tolist(), *y.tolist()], z.tolist()] for x, y, z in given],
        lr=0.2,
        rho=0.7,
        mu=0.4,
        tau=tau,
    )
    for grads in given:
        a.grad, b.grad, c.grad = (g.clone() for g in grads)
        optimizer.step()
    assert [*a.tolist(), *b.tolist()] == pytest.approx(wanted[0], abs=1e-12)
    assert c.tolist() == pytest.approx(wanted[1], abs=1e-12)


def test_filters_are_groups_of_their_own() -> None:
    bank = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    grad = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    together = bank.clone().requires_grad_()
    apart = [row.clone().requires_grad_() for row in bank]
    one = ProxSGD([together], filters=[together], lr=0.3, mu=2.0, normalisation="div", tau=None)
    other = ProxSGD(
        apart, {i: [row] for i, row in enumerate(apart)}, lr=0.3, mu=2.0, normalisation="div", tau=None
    )
    for _ in range(3):
        together.grad = grad.clone()
        for row, part in zip(apart, grad, strict=True):
            row.grad = part.clone()
        one.step()
        other.step()
    torch.testing.assert_close(together.detach(), torch.stack(apart).detach(), rtol=1e-12, atol=1e-12)


def test_without_a_penalty_it_is_sgd_with_an_average_of_gradients() -> None:
    grouped, alone = leaf(0.5, -0.25), leaf(0.5, -0.25)
    one = ProxSGD([grouped], {0: [grouped]}, lr=0.1, rho=0.8)
    other = ProxSGD([alone], lr=0.1, rho=0.8)
    v = torch.zeros(2, dtype=DOUBLE)
    expected = alone.detach().clone()
    for number in range(5):
        grad = torch.tensor([0.1 * number, -0.2], dtype=DOUBLE)
        grouped.grad, alone.grad = grad.clone(), grad.clone()
        one.step()
        other.step()
        v = 0.2 * v + 0.8 * grad
        expected = expected - 0.1 * v
    torch.testing.assert_close(grouped.detach(), expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(alone.detach(), expected, rtol=1e-14, atol=1e-14)


def test_with_full_steps_it_is_the_plain_proximal_gradient_method() -> None:
    w = leaf(1.0, -2.0)
    optimizer = ProxSGD([w], {0: [w]}, lr=1.0, rho=1.0, mu=0.5, tau=1 / 0.1)
    w.grad = torch.tensor([0.3, 0.4], dtype=DOUBLE)
    optimizer.step()
    moved = torch.tensor([1.0 - 0.03, -2.0 - 0.04], dtype=DOUBLE)
    expected = moved * (1 - 0.1 * 0.5 / moved.norm())
    torch.testing.assert_close(w.detach(), expected)


def test_a_dead_group_falls_below_the_threshold_when_the_paper_says() -> None:
    w = leaf(1.0)
    optimizer = ProxSGD([w], {0: [w]}, lr=1e-3, mu=10.0)
    w.grad = torch.zeros(1, dtype=DOUBLE)
    optimizer.step()
    assert w.item() == pytest.approx(0.999)
    assert math.ceil(math.log(1e-6) / math.log(0.999)) == 13_809
    assert math.ceil(13_809 / 782 * 10) / 10 == pytest.approx(17.7)


def test_a_dead_group_revives_where_the_gradient_is_strong_enough() -> None:
    w = leaf(0.0)
    optimizer = ProxSGD([w], {0: [w]}, lr=0.5, rho=1.0, mu=1.0)
    for grad, alive in ((1.0, False), (-1.5, True)):
        w.grad = torch.tensor([grad], dtype=DOUBLE)
        optimizer.step()
        assert bool(w.any()) is alive


@pytest.mark.parametrize(("kind", "mu"), [("none", 60.0), ("div", 2.0), ("mul", 1800.0)])
def test_the_normalisations(kind: str, mu: float) -> None:
    assert gains(60.0, torch.tensor([900.0], dtype=DOUBLE), kind).item() == pytest.approx(mu)


def test_parameter_groups_may_differ_in_rate_and_penalty() -> None:
    weak, strong = leaf(1.0), leaf(1.0)
    optimizer = ProxSGD(
        [{"params": [weak], "mu": 0.1}, {"params": [strong], "mu": 0.2, "lr": 0.5}],
        {0: [weak], 1: [strong]},
        lr=0.1,
    )
    weak.grad, strong.grad = torch.zeros(1, dtype=DOUBLE), torch.zeros(1, dtype=DOUBLE)
    optimizer.step()
    assert (weak.item(), strong.item()) == pytest.approx((0.99, 0.9))
    assert optimizer.penalty().item() == pytest.approx(0.1 * 0.99 + 0.2 * 0.9)


def test_switches_stay_in_their_bounds() -> None:
    switch = leaf(0.8)
    optimizer = ProxSGD([switch], {0: [switch]}, lr=0.5, mu=0.1, bounds={switch: (0.0, 1.0)})
    for grad, expected in ((-5.0, 0.9), (-5.0, 0.95), (50.0, 0.475)):
        switch.grad = torch.tensor([grad], dtype=DOUBLE)
        optimizer.step()
        assert switch.item() == pytest.approx(expected)


def test_what_no_gradient_reaches_stays_and_the_rest_of_its_group_shrinks() -> None:
    idle, half, live = leaf(1.0), leaf(3.0), leaf(4.0)
    optimizer = ProxSGD([idle, half, live], {0: [idle], 1: [half, live]}, lr=1.0, mu=1.0)
    live.grad = torch.zeros(1, dtype=DOUBLE)
    optimizer.step()
    assert (idle.item(), half.item(), live.item()) == pytest.approx((1.0, 2.4, 3.2))


@pytest.mark.parametrize("update", UPDATES)
def test_bounds_change_only_what_would_leave_them(update: str) -> None:
    grad = torch.tensor([30.0], dtype=DOUBLE)
    found = []
    for bounds, rate in ((None, 1e-3), ((0.0, 1.0), 1e-3), ((0.0, 1.0), 1.0)):
        switch = leaf(0.8)
        optimizer = UPDATES[update](
            [switch], {0: [switch]}, lr=rate, rho=1.0, mu=50.0, bounds=bounds and {switch: bounds}
        )
        switch.grad = grad.clone()
        optimizer.step()
        found.append(switch.item())
    free, bounded, whole = found
    assert free == pytest.approx({"proximal": 0.7992, "subgradient": 0.72}.get(update, 0.77))
    assert bounded == pytest.approx(free)
    assert whole == 0


@pytest.mark.parametrize(
    ("update", "tau"), [("proximal", None), *((update, 1.0) for update in UPDATES)], ids=str
)
def test_the_state_comes_back_to_the_bit(update: str, tau: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(2, 4, generator=generator) for _ in range(8)]

    def run(w: Tensor, optimizer: ProxSGD, steps: list[Tensor]) -> None:
        for grad in steps:
            w.grad = grad.clone()
            optimizer.step()

    def make() -> tuple[Tensor, ProxSGD]:
        w = torch.ones(2, 4, requires_grad=True)
        return w, UPDATES[update]([w], filters=[w], lr=0.1, mu=0.3, tau=tau)

    straight, optimizer = make()
    run(straight, optimizer, grads)
    w, optimizer = make()
    run(w, optimizer, grads[:3])
    resumed, fresh = make()
    resumed.data.copy_(w.data)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(resumed, fresh, grads[3:])
    assert torch.equal(resumed, straight)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": 0.0}, "lr=0.0: must be above 0"),
        ({"rho": 1.5}, "rho=1.5: must be above 0"),
        ({"mu": -1.0}, "mu=-1.0"),
        ({"tau": 0.0}, "tau=0.0"),
        ({"normalisation": "root"}, "choose one of none, div, mul"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        ProxSGD([leaf(1.0)], **settings)


def test_groups_are_of_its_own_parameters_and_disjoint() -> None:
    w, other = leaf(1.0), leaf(1.0)
    with pytest.raises(InvalidSettingError, match="not among"):
        ProxSGD([w], {0: [other]})
    with pytest.raises(InvalidSettingError, match="slice by slice"):
        ProxSGD([w], {0: [w]}, filters=[w])


def test_a_group_is_dead_when_its_proximal_point_is_zero() -> None:
    """w^ = (1 - (mu / tau) / |w~|)_+ w~ is zero iff |w - v / tau| <= mu / tau."""
    weak, edge, strong, idle = (torch.tensor([x, 0.0], requires_grad=True) for x in (0.29, 0.31, 2.0, 0.1))
    optimizer = ProxSGD(
        [weak, edge, strong, idle], {5: [weak], 6: [edge], 7: [strong], 8: [idle]}, lr=1e-3, mu=0.3
    )
    assert optimizer.dead() == ()  # before the first step
    for tensor in (weak, edge, strong):
        tensor.grad = torch.zeros(2)
    optimizer.step()
    assert optimizer.dead() == (5,)  # 8 is shorter, but no gradient has reached it: steps leave it alone
    edge.grad = torch.tensor([0.1, 0.0])  # v = 0.8 * 0.1, so |w~| = 0.31 - 0.08
    optimizer.step()
    assert optimizer.dead() == (5, 6)
    before = [t.clone() for t in (weak, edge, strong)]
    assert optimizer.dead() == (5, 6)  # looking moves nothing
    assert all(torch.equal(a, b) for a, b in zip(before, (weak, edge, strong), strict=True))


def test_a_switch_at_its_bound_is_dead_too() -> None:
    switch = torch.tensor([0.4], requires_grad=True)
    optimizer = ProxSGD([switch], {0: [switch]}, lr=0.1, mu=0.1, rho=1.0, bounds={switch: (0.0, 1.0)})
    switch.grad = torch.tensor([2.0])  # w~ = -1.6, mapped to -1.5, clipped to 0
    optimizer.step()
    assert optimizer.dead() == (0,)


def noisy(num_steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, generator=generator, dtype=DOUBLE) for _ in range(num_steps)]


def test_the_subgradient_method_is_sgd_with_momentum_on_the_printed_objective() -> None:
    """Its momentum averages what autograd gives for f plus the penalty."""
    w, v = leaf(0.6, -0.8, 1.5, 0.1), torch.zeros(4, dtype=DOUBLE)
    optimizer = SubgradientSGD([w], {0: [w]}, lr=0.05, rho=0.3, mu=0.7, tau=2.0)
    literal = w.detach().clone()
    for slope in noisy(20):
        w.grad = slope.clone()
        optimizer.step()
        point = literal.clone().requires_grad_()
        (point @ slope + 0.7 * point.norm()).backward()
        v = 0.7 * v + 0.3 * point.grad
        literal = literal - 0.05 / 2.0 * v
    assert w.tolist() == pytest.approx(literal.tolist(), abs=1e-12)


def test_on_one_objective_the_proximal_map_reaches_zero_and_the_subgradient_does_not() -> None:
    """GSparsity, appendix G. The minimum of ||w - a||^2 / 2 + mu ||w|| is 0 for mu above ||a||."""
    target, lengths, dead = torch.tensor([0.3, 0.4], dtype=DOUBLE), {}, {}
    for kind in (ProxSGD, SubgradientSGD):
        w = leaf(1.0, 2.0)
        optimizer = kind([w], {0: [w]}, lr=0.1, mu=0.8)
        for _ in range(400):
            w.grad = w.detach() - target
            optimizer.step()
        lengths[kind], dead[kind] = w.detach().norm().item(), optimizer.dead()
    assert lengths[ProxSGD] < 1e-12
    assert 1e-3 < lengths[SubgradientSGD] < 0.1
    assert dead == {ProxSGD: (0,), SubgradientSGD: ()}


@pytest.mark.parametrize("is_hard", [True, False])
def test_variable_splitting_follows_equation_2_6(is_hard: bool) -> None:
    mu, beta, rate = 0.9, 1.5, 0.2
    w, free = leaf(0.6, -0.8, 1.5, 0.1), leaf(1.0, 1.0, 1.0, 1.0)
    optimizer = SplittingSGD([w, free], {3: [w]}, is_hard=is_hard, coupling=beta, lr=rate, rho=1.0, mu=mu)
    literal = u = w.detach().clone()
    alone = free.detach().clone()
    for grad in noisy(15):
        w.grad, free.grad = grad.clone(), grad.clone()
        optimizer.step()
        norm = literal.norm()
        small = norm <= (2 * mu / beta) ** 0.5 if is_hard else norm <= mu / beta
        mapped = torch.zeros_like(literal) if small else literal * (1 if is_hard else 1 - mu / beta / norm)
        literal, u = literal - rate * grad - rate * beta * (literal - u), mapped
        alone = alone - rate * grad
        value = (
            mu * float(u.norm() > 0 if is_hard else u.norm()) + beta / 2 * float((literal - u).norm()) ** 2
        )
        assert optimizer.penalty().item() == pytest.approx(value, abs=1e-12)
    assert w.tolist() == pytest.approx(literal.tolist(), abs=1e-12)
    assert free.tolist() == pytest.approx(alone.tolist(), abs=1e-12), "no penalty, so no copy to follow"
    norm = literal.norm()
    is_dead = norm <= (2 * mu / beta) ** 0.5 if is_hard else norm <= mu / beta
    assert optimizer.dead() == ((3,) if is_dead else ())


def test_the_thresholds_differ_as_printed() -> None:
    """A group of length 1 at gamma = 0.6: S leaves 0.4 of it, H nothing, for 1 is below 1.2^(1/2)."""
    found = {}
    for is_hard in (True, False):
        w = leaf(0.6, 0.8)
        optimizer = SplittingSGD([w], {0: [w]}, is_hard=is_hard, lr=0.5, mu=0.6)
        w.grad = torch.zeros(2, dtype=DOUBLE)
        optimizer.step()
        found[is_hard] = optimizer.state[w]["split"].norm().item()
    assert found == pytest.approx({True: 0.0, False: 0.4})
    with pytest.raises(InvalidSettingError, match="coupling=0"):
        SplittingSGD([w], {0: [w]}, coupling=0.0)
