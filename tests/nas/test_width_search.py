"""Scores of channels: what they multiply, how they fold, and what pruning by them leaves."""

from __future__ import annotations

import copy
from functools import cache
from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import VisionTransformer

import nasviz
from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.nas import WidthSearch, create_width
from nasviz.nas.rarts import Relaxation
from nasviz.trace import TracedNetwork
from tests.laws.slim_networks import NETWORKS


class Plain(nn.Module):
    """A convolution with bias, one with a norm, a residual sum, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.conv1 = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.conv2(self.bn1(self.conv1(x)).relu())
        return self.head(x.mean((2, 3)))


def images(count: int = 8) -> Tensor:
    return torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@cache
def traced() -> TracedNetwork:
    torch.manual_seed(0)
    return nasviz.trace(Plain(), images(2))


def plain() -> TracedNetwork:
    return copy.deepcopy(traced())


def search(net: nn.Module, **settings: object) -> WidthSearch:
    chosen = {"projection_steps": 3, "lr": 0.05, "momentum": 0.9} | settings
    heads = "dimensions" if settings.get("groups") == "dimensions" else "whole"
    return create_width(net, nasviz.search_space(net, heads=heads), **chosen)


def vision_transformer() -> nn.Module:
    torch.manual_seed(0)
    chosen = {"image_size": 16, "patch_size": 8, "num_layers": 1, "hidden_dim": 8, "mlp_dim": 12}
    return VisionTransformer(num_heads=2, num_classes=4, **chosen)


def losses(net: nn.Module) -> tuple[object, object]:
    x, labels = images(), torch.arange(8) % 3

    def part(chosen: slice) -> Tensor:
        return functional.cross_entropy(net(x[chosen]), labels[chosen])

    return lambda: part(slice(0, 4)), lambda: part(slice(4, 8))


def test_a_channel_is_its_score_times_what_it_was() -> None:
    net = plain().double().eval()
    optimizer, x = search(net, groups="filters"), images().double()
    assert len(optimizer.channel_scores) == 6  # of conv1: what the sum ties is left alone
    values = torch.linspace(0.2, 1.8, 6, dtype=torch.double)
    optimizer.channel_scores.values.data.copy_(values)
    with optimizer.counting(), torch.no_grad():
        scored = net(x)
    with torch.no_grad():
        net.get_parameter("conv2.weight").mul_(values.view(1, -1, 1, 1))
    torch.testing.assert_close(scored, net(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", ["channels", "filters"])
def test_folding_leaves_outputs_as_they_are(groups: str) -> None:
    net = plain().double().eval()
    optimizer, x = search(net, groups=groups, fraction=0.0), images().double()
    scores = optimizer.channel_scores.values
    scores.data.copy_(torch.linspace(0.5, 1.5, len(scores), dtype=torch.double))
    with optimizer.counting(), torch.no_grad():
        before = net(x)
    optimizer.prune()
    assert optimizer.channels == ()
    torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)
    with optimizer.teacher(), torch.no_grad():
        torch.testing.assert_close(net(x), before, rtol=1e-12, atol=1e-12)


def test_what_scores_only_before_a_norm_would_undo_takes_no_score() -> None:
    net = plain()
    scores = search(net, groups="filters").channel_scores
    names = {id(p): name for name, p in net.named_parameters()}
    assert {names[id(t)] for t in scores.index.tensors} == {"bn1.weight", "bn1.bias"}


@pytest.mark.parametrize("ranking", ["global", "layer"])
@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.6, 0.8])
def test_the_lowest_go_and_every_operator_keeps_a_channel(fraction: float, ranking: str) -> None:
    net = plain()
    optimizer = search(net, fraction=fraction, ranking=ranking)
    optimizer.channel_scores.values.data.copy_(torch.arange(1.0, 11.0))
    optimizer.prune()
    gone = optimizer.channels
    widths = {s.name: s.width for s in optimizer.channel_scores.structures}
    assert sorted(widths.values()) == [4, 6]
    if ranking == "global":
        # 1 to 4 are of one structure, which keeps its best.
        count = int(fraction * 10 + 1e-9)
        assert gone == tuple(range(count)) if count < 4 else len(gone) == count
        assert 3 not in gone
    else:
        keeps = [max(1, int((1 - fraction) * w + 1e-9)) for w in (4, 6)]
        assert len(gone) == 10 - sum(keeps)


def test_pruned_channels_are_cut_exactly_and_stay_at_zero_while_tuning() -> None:
    net = plain()
    space = nasviz.search_space(net)
    optimizer = create_width(net, space, projection_steps=3, lr=0.05, momentum=0.9, fraction=0.5)
    train, validation = losses(net)
    for _ in range(3):
        optimizer.step(train, validation)
    assert optimizer.phase == "training"
    optimizer.prune()
    for _ in range(3):
        optimizer.tune(train() + validation())
    assert len(optimizer.channels) == 5
    assert int(optimizer.num_zero) == 5
    net.eval()
    sub = nasviz.construct(net, space, erased=(), channels=optimizer.channels)
    torch.testing.assert_close(sub.module(images()), net(images()), rtol=1e-5, atol=1e-6)
    assert sub.report.params_after < sub.report.params_before


def test_scores_become_exactly_zero_under_a_strong_penalty() -> None:
    net = plain()
    optimizer = search(net, sparsity=100.0, scores_lr=0.1, fraction=0.0, projection_steps=1)
    optimizer.step(*losses(net))
    assert int(optimizer.num_zero) == 10
    # All scores are zero; what is pruned leaves each operator a channel.
    assert len(optimizer.selected_at(0.0)) == 8


def test_without_coupling_or_penalty_a_step_is_the_step_of_rarts() -> None:
    """One iteration by hand: w, then u, then the scores, at 1 each."""
    net = plain().double()
    x, labels = images().double(), torch.arange(8) % 3
    halves = [
        lambda: functional.cross_entropy(net(x[:4]), labels[:4]),
        lambda: functional.cross_entropy(net(x[4:]), labels[4:]),
    ]
    own = {"groups": "filters", "auxiliary_weight": 1.0, "coupling": 0.0}
    optimizer = search(net, lr=0.1, momentum=0.0, scores_lr=0.5, sparsity=0.0, clip=1e9, **own)
    assert optimizer.relaxation == Relaxation(1.0, 0.0)
    values = optimizer.channel_scores.values
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer.step(*halves)
    moved = {name: p.detach().clone() for name, p in net.named_parameters()}

    twin = plain().double()
    twin.load_state_dict({**twin.state_dict(), **start})
    functional.cross_entropy(twin(x[4:]), labels[4:]).backward()
    for name, p in twin.named_parameters():
        torch.testing.assert_close(moved[name], (p - 0.1 * p.grad).detach(), rtol=1e-10, atol=1e-12)
    assert not torch.equal(values.detach(), torch.ones_like(values))


def test_darts_moves_scores_by_one_half_and_weights_by_the_other() -> None:
    """Table 4.2: one copy of the weights; scores by the second half, then w by the first."""
    optimizer = search(plain(), search="darts_first", scores_lr=0.2, sparsity=0.0, clip=1e9)
    train, validation = losses(optimizer._net)
    values, weights = optimizer.channel_scores.values, optimizer.weights
    before = [w.detach().clone() for w in weights]
    (score_gradient,) = torch.autograd.grad(optimizer._scored.loss(validation)(weights, [values]), [values])
    moved = (values - 0.2 * score_gradient).detach()
    gradients = torch.autograd.grad(
        optimizer._scored.loss(train)(weights, [moved]), weights, allow_unused=True, materialize_grads=True
    )
    optimizer.step(train, validation)
    torch.testing.assert_close(values.detach(), moved)
    for w, start, grad in zip(weights, before, gradients, strict=True):
        torch.testing.assert_close(w.detach(), start - 0.05 * grad, rtol=1e-4, atol=1e-6)
    second = search(plain(), search="darts_second", scores_lr=0.2, sparsity=0.0, clip=1e9)
    second.step(*losses(second._net))
    assert not torch.allclose(second.channel_scores.values, moved), "it differentiates through the step of w"


def test_random_channels_go_in_the_order_of_the_seed_and_learn_no_score() -> None:
    def made(seed: int) -> WidthSearch:
        return search(plain(), search="random", generator=torch.Generator().manual_seed(seed))

    first, same, other = made(0), made(0), made(1)
    first.step(*losses(first._net))
    assert set(first.channel_scores.sizes().values()) == {1.0}
    assert first.selected_at(0.4) == same.selected_at(0.4) != other.selected_at(0.4)
    assert len(first.selected_at(0.4)) == 4
    assert set(first.selected_at(0.2)) < set(first.selected_at(0.4))
    with pytest.raises(InvalidSettingError, match="search='luck'"):
        search(plain(), search="luck")


def test_a_pruned_transformer_has_the_counts_of_table_4_3() -> None:
    """MSA keeps 4 rho d^2 weights and 4 rho n d^2 + 2 rho n^2 d MACs, the MLP 2 rho d d_m and n times that.

    The products of queries, keys and values have no weights: their cost follows from shapes.
    """
    d, heads, hidden, n, rho = 16, 2, 32, 5, 0.5
    torch.manual_seed(0)
    sizes = {"image_size": 16, "patch_size": 8, "num_layers": 1, "hidden_dim": d, "mlp_dim": hidden}
    x = torch.randn(2, 3, 16, 16)
    net = nasviz.trace(VisionTransformer(num_heads=heads, num_classes=4, **sizes), x)
    space = nasviz.search_space(net)
    chosen = {"groups": "dimensions", "fraction": rho, "ranking": "layer", "lr": 0.05}
    optimizer = create_width(net, space, projection_steps=1, **chosen)
    optimizer.prune()
    sub = nasviz.construct(net.eval(), space, erased=(), channels=optimizer.channels)
    gone = 1 - rho
    weights = 4 * gone * d * d + 2 * gone * d * hidden
    biases = 3 * gone * d + gone * hidden
    assert sub.report.params_before - sub.report.params_after == weights + biases
    assert sub.report.macs_before - sub.report.macs_after == n * weights
    products = []
    for module in (net, sub.module):
        graph = nasviz.trace(module, x).trace_graph
        (attention,) = (v for v in graph.vertices if v.operator == "scaled_dot_product_attention")
        assert attention.shape[1:3] == (heads, n)
        products.append(2 * n * prod(attention.shape[1:]))
    assert products == [2 * n * n * d, rho * 2 * n * n * d]


def test_a_head_dimension_is_one_score_of_queries_keys_values_and_heads() -> None:
    net = nasviz.trace(vision_transformer(), torch.randn(2, 3, 16, 16))
    optimizer = search(net, groups="dimensions", fraction=0.5, ranking="layer")
    scores = optimizer.channel_scores
    assert len(scores) == 4 + 12  # d/h of the attention, d_m of the layers
    rows = {tuple(t.shape): owners for t, _, owners in scores.index.table()}
    assert [rows[24, 8].count(group) for group in scores.ids[:4]] == [6, 6, 6, 6]  # 3 matrices, 2 heads
    before = sum(p.numel() for p in net.parameters())
    optimizer.prune()
    net.eval()
    sub = nasviz.construct(
        net, nasviz.search_space(net, heads="dimensions"), erased=(), channels=optimizer.channels
    )
    x = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(sub.module(x), net(x), rtol=1e-5, atol=1e-6)
    lost = 4 * 8 * (8 - 4)  # of four projections of tokens of 8 dimensions, two of four in both heads
    lost += 2 * 8 * (12 - 6)  # of two layers with 12 hidden dimensions
    assert before - sub.report.params_after == lost + 3 * 4 + 6  # and their biases


def test_spaces_of_whole_heads_and_of_dimensions_are_told_apart() -> None:
    net = nasviz.trace(vision_transformer(), torch.randn(2, 3, 16, 16))
    whole = nasviz.search_space(net)
    heads = [s for s in whole.channels.slimmable if s.unit == "head"]
    assert [s.width for s in heads] == [2]
    with pytest.raises(InvalidSettingError, match="heads='dimensions'"):
        create_width(net, whole, projection_steps=3, lr=0.05, groups="dimensions")
    with pytest.raises(InvalidSettingError, match="choose one of whole, dimensions"):
        nasviz.search_space(net, heads="half")
    document = whole.to_json()
    assert SearchSpace.from_json(document).channels.structures == whole.channels.structures
    del document["heads"]  # as written before there were whole heads
    before = SearchSpace.from_json(document)
    assert {s.unit for s in before.channels.slimmable} == {"channel"}
    assert before.channels.structures == nasviz.search_space(net, heads="dimensions").channels.structures


def test_values_share_the_scores_of_their_queries_where_they_are_layers_of_their_own() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(6, 6) for _ in range(3))
            self.out, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            b, n, _ = x.shape
            q, k, v = (part(x).view(b, n, 2, 3).transpose(1, 2) for part in (self.q, self.k, self.v))
            y = functional.scaled_dot_product_attention(q, k, v)
            return self.head(self.out(y.transpose(1, 2).reshape(b, n, 6)).mean(1))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = Attention()

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x)

    net = nasviz.trace(Network(), torch.randn(2, 4, 6))
    optimizer = search(net, groups="dimensions", fraction=0.4, ranking="layer")
    scores = optimizer.channel_scores
    shared = [group for group, home in scores.home.items() if group != home]
    assert len(shared) == 3
    scores.values.data.copy_(torch.arange(1.0, len(scores) + 1))
    optimizer.prune()
    homes = {scores.home[group] for group in optimizer.channels}
    assert {g for g, home in scores.home.items() if home in homes} == set(optimizer.channels)


LARGER = ("volumetric convolutions", "cross attention")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGER else n for n in NETWORKS]
)
def test_folding_and_cutting_are_exact_on_every_kind_of_network(name: str) -> None:
    torch.manual_seed(0)
    make, draw = NETWORKS[name]
    inputs = draw()
    net = nasviz.trace(make().double(), inputs.double())
    space = nasviz.search_space(net)
    optimizer = create_width(net, space, projection_steps=1, lr=0.1, fraction=0.5)
    scores, x = optimizer.channel_scores.values, inputs.double()
    scores.data.uniform_(0.5, 1.5)
    net.eval()
    gone = optimizer.selected_at(0.5)
    assert gone
    with optimizer.counting(without=gone), torch.no_grad():
        wanted = net(x)
    optimizer.prune()
    torch.testing.assert_close(net(x), wanted, rtol=1e-10, atol=1e-10)
    sub = nasviz.construct(net, space, erased=(), channels=optimizer.channels)
    torch.testing.assert_close(sub.module.double()(x), wanted, rtol=1e-8, atol=1e-8)


def test_states_and_settings_that_do_not_fit_are_refused() -> None:
    net = plain()
    optimizer = search(net)
    other = search(plain(), groups="filters")
    with pytest.raises(CheckpointError, match="this state is of 6 scores, this search has 10"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(InvalidSettingError, match="choose of channels, filters, dimensions"):
        search(net, groups="heads")
    with pytest.raises(InvalidSettingError, match="no channels that can be scored"):
        search(net, groups="dimensions")
