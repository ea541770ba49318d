from __future__ import annotations

import pytest
import torch

from nasviz.errors import InvalidSettingError, NonFiniteLossError, UnknownNameError
from nasviz.optim import H2SPG, HSPG, Selection, TensorGroup
from nasviz.saliency import Saliency, documents
from tests.optim.problems import BASES, ORPHANED, SELECTED, backward, build, equal, h2spg, train

bases = pytest.mark.parametrize("base", BASES)


@bases
@pytest.mark.parametrize("saliency", ["taylor", "documents"])
def test_until_the_warm_up_ends_it_is_the_inner_optimizer_bitwise(base, saliency):
    plain, net = build(), build()
    train(plain, BASES[base](list(plain.parameters())), 0, 6)
    train(net, h2spg(net, base, warmup_steps=6, saliency=saliency), 0, 6)
    assert equal(plain, net)
    assert not equal(plain, build()), "nothing was trained: the comparison says nothing"


@bases
def test_with_nothing_selected_it_is_the_inner_optimizer_bitwise(base):
    plain, net = build(), build()
    inner = BASES[base](list(plain.parameters()))
    train(plain, inner, 0, 12)
    optimizer = h2spg(net, base, selection=Selection(()))
    train(net, optimizer, 0, 12)
    assert equal(plain, net)
    assert optimizer.phase == "training"
    for p, q in zip(plain.parameters(), net.parameters(), strict=True):
        assert inner.state[p].keys() == optimizer.state[q].keys()


@bases
@pytest.mark.parametrize("projection", ["both", "progressive"])
def test_exactly_the_selected_group_is_zero_at_the_end_and_ever_after(base, projection):
    net = build()
    optimizer = h2spg(net, base, projection=projection)
    for last in (9, 10, 20):
        train(net, optimizer, 0 if last == 9 else last - 1, last)
        for name, mask in net.zeros().items():
            values = dict(net.named_parameters())[name]
            assert not values[mask].any(), name
            assert values[~mask].all(), name
    assert optimizer.zeroed_by.keys() == {*SELECTED, *ORPHANED}
    assert optimizer.phase == "training"


@bases
def test_buffers_of_zero_groups_are_zero(base):
    net = build()
    optimizer = h2spg(net, base)
    train(net, optimizer, 0, 15)
    masks = net.zeros()
    for name, parameter in net.named_parameters():
        for key, buffer in optimizer.state[parameter].items():
            if torch.is_tensor(buffer) and buffer.shape == parameter.shape:
                assert not buffer[masks[name]].any(), (name, key)


def test_negative_control_a_group_that_is_only_set_to_zero_revives():
    net = build()
    inner = BASES["sgd momentum"](list(net.parameters()))
    train(net, inner, 0, 9)
    with torch.no_grad():
        net.a.weight.zero_()
    train(net, inner, 9, 10)
    assert net.a.weight.any()


def test_zero_groups_are_pinned_under_an_inner_optimizer_that_moves_everything():
    class Drift(torch.optim.SGD):
        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(0.01)

    net = build()
    optimizer = h2spg(net, Drift(net.parameters(), lr=0.1))
    train(net, optimizer, 0, 12)
    for name, mask in net.zeros().items():
        assert not dict(net.named_parameters())[name][mask].any(), name


def test_a_network_without_structures_is_trained_by_the_inner_optimizer():
    plain, net = build(), build()
    train(plain, BASES["adam"](list(plain.parameters())), 0, 6)
    inner = BASES["adam"](list(net.parameters()))
    optimizer = H2SPG(
        inner, {}, lambda scores: Selection(()), warmup_steps=2, projection_steps=2, saliency="documents"
    )
    train(net, optimizer, 0, 6)
    assert equal(plain, net)
    assert optimizer.scores == {}
    assert optimizer.norm_vector().tolist() == []


def test_without_gradient_the_norm_falls_in_a_straight_line():
    weight, other = torch.full((4,), 0.5, requires_grad=True), torch.ones(1, requires_grad=True)
    group = TensorGroup((weight,))
    optimizer = H2SPG(
        torch.optim.SGD([weight, other], lr=0.1),
        {1: group},
        lambda scores: Selection((1,), members={1: group}),
        warmup_steps=1,
        projection_steps=5,
    )
    norms = []
    for _ in range(6):
        optimizer.step()
        norms.append(weight.norm().item())
    assert norms == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])
    assert norms[-1] == 0.0


def test_phases_follow_the_steps():
    net = build()
    optimizer = h2spg(net)
    phases = []
    for step in range(11):
        phases.append(optimizer.phase)
        assert (optimizer.selected == SELECTED) is (step >= 4)
        train(net, optimizer, step, step + 1)
    assert phases == ["warm-up"] * 4 + ["projection"] * 5 + ["training"] * 2
    assert optimizer.orphaned == ORPHANED


def test_one_projection_step_zeroes_at_once():
    net = build()
    optimizer = h2spg(net, projection_steps=1)
    train(net, optimizer, 0, 5)
    assert optimizer.phase == "training"
    assert not net.a.weight.any()


def test_select_is_asked_once_with_the_scores_of_all_structures():
    net, asked = build(), []

    def select(scores):
        asked.append(scores)
        return net.selection()

    optimizer = H2SPG(
        BASES["sgd"](list(net.parameters())), net.groups(), select, warmup_steps=2, projection_steps=2
    )
    train(net, optimizer, 0, 6)
    assert asked == [optimizer.scores]
    assert optimizer.scores.keys() == net.groups().keys()


def test_scores_are_the_running_average_of_the_taylor_scores():
    net = build()
    optimizer = h2spg(net, warmup_steps=10, score_every=2, score_momentum=0.75, saliency="taylor")
    expected: dict[int, float] = {}
    for step in range(5):
        backward(net, step)
        if step % 2 == 0:
            for i, group in net.groups().items():
                sample = abs(sum((t * t.grad).double().sum().item() for t in group.tensors))
                expected[i] = 0.75 * expected[i] + 0.25 * sample if step else sample
        optimizer.step()
    assert optimizer.scores == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("warmup_steps", "every"), [(1, 1), (63, 1), (64, 2), (1000, 31)])
def test_a_long_warm_up_is_scored_some_32_times_where_nothing_is_said(warmup_steps, every):
    assert h2spg(build(), warmup_steps=warmup_steps)._scores.every == every
    assert h2spg(build(), warmup_steps=warmup_steps, score_every=1)._scores.every == 1


@pytest.mark.parametrize(("base", "buffer"), [("sgd momentum", "momentum_buffer"), ("adam", None)])
def test_the_documents_score_sees_the_direction_of_the_inner_optimizer(base, buffer):
    net, seen = build(), []

    def spy(reductions):
        seen.append([None if d is None else d.clone() for d in reductions.directions])
        return documents(reductions)

    optimizer = h2spg(net, base, warmup_steps=9, saliency=Saliency("spy", spy, needs_direction=True))
    train(net, optimizer, 0, 3)
    tensors = [t for group in net.groups().values() for t in group.tensors]
    for tensor, direction in zip(tensors, seen[-1], strict=True):
        state = optimizer.state[tensor]
        if buffer:
            expected = state[buffer]
        else:  # Adam: bias-corrected moments
            mean, square = state["exp_avg"] / (1 - 0.9**3), state["exp_avg_sq"] / (1 - 0.999**3)
            expected = mean / (square.sqrt() + 1e-8)
        torch.testing.assert_close(direction, expected, rtol=1e-3, atol=1e-5)


def crossing_net(projection: str, epsilon: float = 0.0):
    """Group 1 is pushed over its boundary at the first trial step, group 2 only pulled a little."""
    one, two = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.0])
    groups = {1: TensorGroup((one,)), 2: TensorGroup((two,))}
    optimizer = H2SPG(
        torch.optim.SGD([one, two], lr=1.0),
        groups,
        lambda scores: Selection((1, 2), members=groups),
        warmup_steps=1,
        projection_steps=3,
        projection=projection,
        epsilon=epsilon,
    )
    optimizer.step()
    for _ in range(5):
        one.grad, two.grad = torch.tensor([2.0, 6.0]), torch.tensor([0.2, 0.1])
        optimizer.step()
    return optimizer, one, two


def test_who_zeroed_a_group_is_recorded():
    optimizer, one, two = crossing_net("both")
    assert optimizer.zeroed_by == {1: "half-space", 2: "progressive"}
    assert not one.any()
    assert not two.any()


def test_the_half_space_alone_forces_nothing():
    optimizer, one, two = crossing_net("halfspace")
    assert optimizer.zeroed_by == {1: "half-space"}
    assert not one.any()
    torch.testing.assert_close(two, torch.tensor([2.0, 3.5]))
    assert optimizer.phase == "projection"


def test_a_larger_epsilon_zeroes_sooner():
    optimizer, _, two = crossing_net("halfspace", epsilon=0.97)
    assert optimizer.zeroed_by == {1: "half-space", 2: "half-space"}
    assert not two.any()
    assert optimizer.phase == "training"


def test_progressive_alone_does_not_look_at_half_spaces():
    optimizer, one, _ = crossing_net("progressive")
    assert optimizer.zeroed_by == {1: "progressive", 2: "progressive"}
    assert not one.any()


def test_a_group_at_zero_when_it_is_selected_stays_there():
    net = build()
    torch.nn.init.zeros_(net.a.weight)
    torch.nn.init.zeros_(net.a.bias)
    for parameter in net.a.parameters():
        parameter.requires_grad_(False)
    optimizer = h2spg(net)
    train(net, optimizer, 0, 5)
    assert optimizer.zeroed_by == {1: "half-space"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_steps": 0}, "warmup_steps=0"),
        ({"warmup_steps": 2.5}, r"warmup_steps=2\.5"),
        ({"projection_steps": -1}, "projection_steps=-1"),
        ({"score_every": 0}, "score_every=0"),
        ({"epsilon": 1.0}, r"epsilon=1\.0"),
        ({"epsilon": float("nan")}, "epsilon=nan"),
        ({"score_momentum": -0.1}, r"score_momentum=-0\.1"),
        ({"projection": "none"}, "choose one of halfspace, progressive, both"),
        ({"saliency": "random"}, "generator"),
    ],
)
def test_settings_out_of_range_are_refused_in_words(settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        h2spg(build(), **settings)


def test_an_unknown_saliency_is_answered_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="taylor, documents, magnitude, random"):
        h2spg(build(), saliency="tailor")


def test_scores_that_are_not_finite_stop_the_run_before_anything_is_selected():
    net = build()
    optimizer = h2spg(net, warmup_steps=1)
    backward(net, 0)
    net.d.weight.grad.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"structures \[4\]"):
        optimizer.step()
    assert optimizer.selected == ()


def test_a_selection_of_unknown_structures_or_tensors_is_refused():
    net = build()
    stranger = Selection((9,), members={9: TensorGroup()})
    optimizer = h2spg(net, selection=stranger, warmup_steps=1)
    with pytest.raises(InvalidSettingError, match=r"never scored: \[9\]"):
        train(net, optimizer, 0, 1)
    lost = Selection((1,), members={1: TensorGroup((torch.ones(2),))})
    optimizer = h2spg(net, selection=lost, warmup_steps=1)
    with pytest.raises(InvalidSettingError, match="neither in `inner` nor in `groups`"):
        train(net, optimizer, 0, 1)
    with pytest.raises(InvalidSettingError, match="names each structure once"):
        Selection((1, 2), members={1: TensorGroup()})


def test_a_tensor_of_two_structures_is_refused():
    shared = torch.ones(2)
    groups = {1: TensorGroup((shared,)), 2: TensorGroup((shared,))}
    with pytest.raises(InvalidSettingError, match="two structures"):
        H2SPG(torch.optim.SGD([shared]), groups, Selection, warmup_steps=1, projection_steps=1)


def test_norms_are_those_of_the_structures_as_they_are():
    net = build()
    optimizer = h2spg(net)
    expected = [
        torch.cat([t.detach().flatten() for t in group.tensors]).norm().item()
        for group in net.groups().values()
    ]
    assert optimizer.norm_vector().tolist() == pytest.approx(expected, rel=1e-6)
    assert optimizer.structure_ids == tuple(net.groups())


def limited_hspg(max_zeros: float = 0.7) -> tuple[HSPG, list[torch.Tensor]]:
    """Three groups, all of which leave their half-space at the second step."""
    groups = [torch.full((2,), length) for length in (0.9, 0.7, 0.8)]
    members = {i: TensorGroup((group,)) for i, group in enumerate(groups)}
    sgd = torch.optim.SGD(groups, lr=0.1)
    settings = {"warmup_steps": 1, "regularization": 8.0, "max_zeros": max_zeros}
    return HSPG(sgd, members, lambda erased: True, **settings), groups


def idle_steps(optimizer: HSPG, groups: list[torch.Tensor], count: int) -> None:
    for _ in range(count):
        for group in groups:
            group.grad = torch.zeros_like(group)
        optimizer.step()


def test_hspg_brings_no_more_to_zero_than_its_limit_and_leaves_the_rest_alone():
    optimizer, groups = limited_hspg()
    idle_steps(optimizer, groups, 2)
    assert set(optimizer.selected) == {1, 2}, "the shortest of those that leave together"
    assert optimizer.phase == "training"
    length = groups[0].norm().item()
    assert length > 0
    other, others = limited_hspg()
    other.load_state_dict(optimizer.state_dict())
    for group, saved in zip(others, groups, strict=True):
        group.copy_(saved)
    for one, tensors in ((optimizer, groups), (other, others)):
        idle_steps(one, tensors, 4)
        assert tensors[0].norm().item() == length, "neither penalty nor test"
        assert not tensors[1].any()
        assert not tensors[2].any()
    free, unlimited = limited_hspg(max_zeros=1.0)
    idle_steps(free, unlimited, 3)
    assert len(free.selected) == 3
    with pytest.raises(InvalidSettingError, match="max_zeros=0"):
        limited_hspg(max_zeros=0.0)
