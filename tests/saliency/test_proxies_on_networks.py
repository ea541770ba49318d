"""Scores on a copy of a network: they leave it as it was, and what they compare fits their formulas."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import DataError, InvalidSettingError
from nasviz.saliency import SALIENCIES, Probe, score
from nasviz.saliency.codes import kernel_score, num_regions, relu_codes
from nasviz.saliency.leave_one_out import contributions, draw_gaussian_, leave_one_out_scores, rank
from nasviz.saliency.te_nas import condition_number
from nasviz.saliency.zen import zen, zen_score
from nasviz.subnet import project_to_zero_
from tests.saliency.test_proxies import Space, Structure, output


class Branches(nn.Module):
    """Two branches that end at an addition, one of them with a ReLU inside, before a ReLU of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.a = nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6))
        self.b1 = nn.Sequential(nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())
        self.b2 = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))
        self.drop, self.pool, self.head = nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)

    def forward(self, x):
        x = self.stem(x)
        x = (self.a(x) + self.b2(self.b1(x))).relu()
        return self.head(self.drop(self.pool(x).flatten(1)))


@pytest.fixture(scope="module")
def traced():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nasviz.trace(Branches(), torch.randn(2, 1, 5, 5))
    return net, nasviz.search_space(net)


def batches(num=2):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(6, 1, 5, 5, generator=generator), torch.randint(3, (6,), generator=generator))
        for _ in range(num)
    ]


def probe(traced, examples=True):
    net, space = traced
    draws = torch.Generator().manual_seed(3)
    data = batches(1) if examples else []
    return Probe(copy.deepcopy(net).train(), space, data, nn.functional.cross_entropy, draws)


@pytest.mark.parametrize("name", SALIENCIES)
def test_scoring_leaves_a_traced_network_as_it_was(traced, name):
    net, space = traced
    net.eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    found = [score(name, net, space, batches(), generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    assert list(found[0]) == [s.id for s in space.removable]
    assert found[0] == found[1], "the same seed must give the same scores"
    assert all(torch.tensor(value).isfinite() for value in found[0].values())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("name", ["synflow", "naswot", "zen", "te_nas"])
def test_some_scores_need_no_data(traced, name):
    net, space = traced
    assert len(score(name, net, space)) == len(space.removable) == 2


@pytest.mark.parametrize("name", ["taylor2", "grasp", "fisher", "zico", "snip", "cosine", "hesso"])
def test_the_others_ask_for_a_batch(traced, name):
    with pytest.raises(DataError, match="at least one batch"):
        score(name, *traced)


def test_fisher_is_the_squared_slope_towards_silence(traced):
    net, space = traced
    still = copy.deepcopy(net)
    still.get_submodule("drop").p = 0.0
    x, y = batches(1)[0]
    found = score("fisher", still, space, [(x, y)])
    plain = Branches()
    plain.load_state_dict(net.state_dict())
    inside = plain.stem(x)
    value = plain.a(inside)
    pooled = (value + plain.b2(plain.b1(inside))).relu().mean(dim=(2, 3))
    loss = nn.functional.cross_entropy(plain.head(pooled), y)
    (slope,) = torch.autograd.grad(loss, value)
    expected = (value * slope).sum(dim=(1, 2, 3)).square().sum().item()
    (branch,) = (s.id for s in space.removable if "a.0.weight" in s.parameter_names)
    assert found[branch] == pytest.approx(expected, rel=1e-4)


def test_the_worked_kernel_and_its_regions():
    codes = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]])
    assert kernel_score(codes).item() == pytest.approx(3.465736, abs=1e-6)
    assert num_regions(codes) == 3
    repeated = codes[[0, 0, 1, 2]]
    assert num_regions(repeated) == 3
    assert torch.isfinite(kernel_score(repeated))
    assert kernel_score(repeated) < kernel_score(codes)


def test_the_worked_condition_number():
    assert condition_number(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])) == pytest.approx(3.0)
    assert condition_number(torch.ones(2, 3)) >= 1e11  # two examples that no step can tell apart


def test_codes_without_a_structure_are_those_of_its_sub_network(traced):
    _, space = traced
    (deep,) = (s.id for s in space.removable if "b2.0.weight" in s.parameter_names)
    ours = probe(traced)
    draw_gaussian_(ours.network, 7)
    whole = relu_codes(ours)
    project_to_zero_(ours.network, space, [deep])
    found = relu_codes(ours, space.closure([deep]))
    sub = nasviz.construct(ours.network, space, [deep])
    small = sub.module.train()
    kept = nasviz.search_space(nasviz.trace(small, torch.randn(2, 1, 5, 5)))
    theirs = Probe(nasviz.trace(small, torch.randn(2, 1, 5, 5)), kept, batches(1), output, ours.generator)
    assert torch.equal(found, relu_codes(theirs))
    assert found.shape[1] == whole.shape[1] - 3 * 25


def test_leave_one_out_is_the_score_of_the_whole_minus_the_score_without(traced):
    _, space = traced
    found = score("naswot", *traced, batches(1), generator=torch.Generator().manual_seed(3))
    ours = probe(traced)

    def of(erased):
        draw_gaussian_(ours.network, ours.seed)
        project_to_zero_(ours.network, space, erased)
        return kernel_score(relu_codes(ours, space.closure(erased))).item()

    whole = of(())
    assert found == pytest.approx({s.id: whole - of((s.id,)) for s in space.removable})
    assert any(abs(value) > 1e-6 for value in found.values())


def test_the_zen_score_follows_its_formula(traced):
    ours = probe(traced)
    draw_gaussian_(ours.network, 5)
    found = zen_score(ours, seed=11)
    net, draws = Branches(), torch.Generator().manual_seed(11)
    net.load_state_dict(ours.network.state_dict())
    x = torch.randn(6, 1, 5, 5, generator=draws)
    moved = x + 0.01 * torch.randn(6, 1, 5, 5, generator=draws)
    variances, features = [], []
    for path in ("stem.1", "a.1", "b1.1", "b2.1"):
        net.get_submodule(path).register_forward_pre_hook(
            lambda module, inputs: variances.append(inputs[0].var(dim=(0, 2, 3)).mean().sqrt().log().item())
        )
    net.get_submodule("pool").register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    with torch.no_grad():
        net(moved)
        variances.clear()
        net(x)
    delta = (features[0] - features[1]).abs().sum(dim=(1, 2, 3)).mean().log().item()
    assert found == pytest.approx(delta + sum(variances), rel=1e-5)


def test_an_erased_norm_does_not_count_towards_the_zen_score(traced):
    _, space = traced
    ours = probe(traced)
    (plain,) = (s.id for s in space.removable if "a.0.weight" in s.parameter_names)
    draw_gaussian_(ours.network, 5)
    project_to_zero_(ours.network, space, [plain])
    # The erased norm sees a constant: counted, its deviation would be close to the smallest number there is.
    counted, left_out = zen_score(ours, seed=1), zen_score(ours, space.closure([plain]), seed=1)
    assert counted < left_out - 30
    assert zen(probe(traced), repeats=1).shape == (2,)


def test_te_nas_adds_two_ranks():
    assert rank([3.0, 1.0, 3.0, 7.0]) == [1, 0, 1, 3]


def test_a_structure_that_nothing_can_be_without_scores_highest():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.c, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.stem(x).relu()
            x = self.a(x) + self.b(x)
            x = self.c(x)
            return self.head((x + x).relu())

    net = nasviz.trace(Doubled(), torch.randn(2, 3))
    space = nasviz.search_space(net)
    (alone,) = (s.id for s in space.removable if not space.is_valid([s.id]))
    found = score("te_nas", net, space)
    assert found[alone] == max(found.values())
    assert contributions(5.0, [2.0, None, 4.0]).tolist() == [3.0, 3.0, 1.0]


def test_what_cannot_be_scored_is_refused_in_words(traced):
    plain = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(InvalidSettingError, match="pass a traced network and its SearchSpace"):
        score("naswot", plain, Space([Structure(1, ("0.weight",))]))
    with pytest.raises(InvalidSettingError, match=r"pass nasviz\.trace"):
        score("fisher", Branches(), traced[1], batches())

    class Smooth(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return (self.a(x) + self.b(x)).tanh()

    smooth = nasviz.trace(Smooth(), torch.randn(2, 3))
    for name in ("naswot", "te_nas"):
        with pytest.raises(InvalidSettingError, match="has no ReLU"):
            score(name, smooth, nasviz.search_space(smooth))
    assert len(score("zen", smooth, nasviz.search_space(smooth))) == 2


def test_each_network_is_drawn_alike(traced):
    seen = []
    ours = probe(traced, examples=False)

    def look(gone):
        seen.append(ours.network.get_submodule("stem.0").weight.clone())
        return (0.0,)

    leave_one_out_scores(ours, look, draw_gaussian_)
    assert len(seen) == 3
    assert all(torch.equal(weight, seen[0]) for weight in seen)
