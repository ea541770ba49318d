"""What cannot be traced exactly is refused, or said: with numbers, the line and what to try."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasviz.errors import ParityError, TraceError, TrainingChangedWarning
from nasviz.trace import module_recovery, trace
from nasviz.trace.parity import ModelOutputs, compare, relative_error
from tests.trace.networks import Residual


class OtherStride(nn.Module):
    """Calls a convolution's weights with a stride that is not the module's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.conv.weight, self.conv.bias, padding=1, dilation=1, stride=2)


class Branching(nn.Module):
    """Follows the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.linear(x)
        return x


class ModeInPython(nn.Module):
    """Does something else in each mode, in plain Python."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * 2 if self.training else self.linear(x)


class Inner(nn.Module):
    """Follows the values of its input, but is only a part."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.sum() > 0 else x


class BranchingInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 4, 1, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.inner = Inner()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.act(self.norm(self.first(x)))
        return torch.cat([x, self.inner(x)], -2), x.flatten(1)


class MovingAverage(nn.Module):
    """Keeps an average in training mode, by a new tensor each time, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("average", torch.zeros(4))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.training:
            self.average = 0.9 * self.average + 0.1 * x.mean(0)
        return self.linear(x) - self.average


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).view(2, 4)


class AlwaysDropped(nn.Module):
    """Dropout that does not follow the mode."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5, training=True)


class FrozenNorm(nn.Module):
    """A batch norm that stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def test_a_broken_lift_is_refused_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    network = trace(OtherStride(), torch.randn(2, 3, 8, 8))
    assert [v.module for v in network.trace_graph] == [""]

    monkeypatch.setattr(module_recovery, "_is_equal", lambda attribute, literal: True)
    with pytest.raises(ParityError, match="relative error inf, allowed"):
        trace(OtherStride(), torch.randn(2, 3, 8, 8))


def test_a_wrong_wire_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(program, model, find=module_recovery.recover_modules):
        lifted = find(program, model)
        calls = dict(lifted.calls)
        first, second = [node for node in program.graph.nodes if node in calls and "norm" in calls[node].path]
        calls[first], calls[second] = (
            module_recovery.ModuleCall(calls[b].path, calls[b].module, calls[a].args)
            for a, b in ((first, second), (second, first))
        )
        return module_recovery.RecoveredProgram(program, model, lifted.origins, calls, lifted.names)

    monkeypatch.setattr("nasviz.trace.strategies.recover_modules", swapped)
    with pytest.raises(ParityError, match=r"relative error \d"):
        trace(Residual(), torch.randn(2, 3, 8, 8))


def test_inputs_of_the_wrong_shape_are_named() -> None:
    with pytest.raises(
        TraceError, match=r"Residual does not run on inputs of shape \(2, 1, 8, 8\): Given groups=1"
    ):
        trace(Residual(), torch.randn(1, 1, 8, 8))


def test_control_flow_over_values_is_refused_with_its_line() -> None:
    with pytest.raises(
        TraceError, match=r"Branching cannot be traced.*test_refusals.py:\d+: if x.sum\(\) > 0"
    ) as refusal:
        trace(Branching(), torch.randn(2, 4))

    assert "control flow" in str(refusal.value)


def test_what_the_mode_changes_in_python_is_told() -> None:
    network = trace(ModeInPython(), torch.randn(2, 4))

    assert network.parity.strategy.startswith("export, evaluation mode")
    assert any(
        "in training mode the traced network differs" in warning for warning in network.parity.warnings
    )
    assert set(network.parity.max_relative_error) == {"eval", "batch"}


def test_a_module_that_cannot_be_followed_is_kept_whole() -> None:
    model = BranchingInside()
    network = trace(model, torch.randn(2, 3, 4))
    graph = network.trace_graph

    assert network.parity.strategy == "torch.fx"
    assert any("does not trace into inner" in warning for warning in network.parity.warnings)
    assert network.parity.worst < 1e-6
    assert list(network.state_dict()) == list(model.state_dict())
    assert [v.operator for v in graph] == ["conv1d", "batch_norm", "relu", "Inner", "cat", "flatten"]
    assert [v.keeps_zero for v in graph] == [True, False, True, False, True, True]
    assert graph["cat"].attributes == {"dim": 1}
    assert graph["first"].macs == 4 * 3 * 4
    assert graph["first"].shape == (-1, 4, 4)
    assert graph["inner"].parameters == ("inner.linear.weight", "inner.linear.bias")
    assert not network.act.inplace
    assert network.first is model.first


def test_a_buffer_that_only_training_writes_to_is_told_and_left_alone() -> None:
    model = MovingAverage()
    average = model.average
    network = trace(model, torch.randn(2, 4))

    assert network.parity.strategy.startswith("export, evaluation mode")
    assert len(network.parity.warnings) == 2
    assert model.average is average
    assert not average.any()
    assert model.calls == 0


@pytest.mark.parametrize("has_converged", [False, True])
def test_spectral_norm_does_not_iterate_in_evaluation_mode(has_converged: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(4, 4)
    if has_converged:  # so far that another iteration changes no output
        linear.weight.data = torch.diag(torch.tensor([10.0, 0.1, 0.01, 0.001]))
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(linear))
    with pytest.warns(TrainingChangedWarning):
        network = trace(model, torch.randn(2, 4))
    before = model[0].parametrizations.weight[0]._u.clone()
    network.eval()(torch.randn(2, 4)).sum().backward()

    assert torch.equal(model[0].parametrizations.weight[0]._u, before)
    assert model[0].parametrizations.weight.original.grad is not None


def test_a_fixed_batch_is_told() -> None:
    network = trace(FixedBatch(), torch.randn(2, 4))

    assert network.parity.strategy == "export, training mode, fixed batch size"
    assert network.parity.warnings == ("works only for batches of the size of the example inputs",)


def test_dropout_that_ignores_the_mode_goes_on_ignoring_it() -> None:
    network = trace(AlwaysDropped(), torch.randn(2, 40)).eval()

    assert (network(torch.ones(2, 40)) == 0).any()


def test_a_frozen_norm_stays_frozen() -> None:
    model = FrozenNorm()
    network = trace(model, torch.randn(4, 4)).train()
    network(torch.randn(8, 4))

    assert int(model.norm.num_batches_tracked) == 0
    assert not model.norm.running_mean.any()


def test_a_name_that_torch_fx_needs_is_refused() -> None:
    class Clash(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.graph(x)

    with pytest.raises(TraceError, match="rename it"):
        trace(Clash(), torch.randn(2, 2))


def test_a_failed_trace_leaves_the_model_as_it_was() -> None:
    model = Branching().train()
    model.linear.eval()
    example, state = torch.randn(2, 4), torch.get_rng_state()
    with pytest.raises(TraceError):
        trace(model, example)

    assert (model.training, model.linear.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), state)


def test_errors_are_measured_by_the_scale_of_the_output() -> None:
    assert relative_error(torch.tensor([0.0, 200.0]), torch.tensor([1.0, 200.0])) == 0.005
    assert relative_error(torch.tensor([3j, 4.0]), torch.tensor([2j, 4.0])) == 0.25
    assert relative_error(torch.ones(2), torch.ones(3)) == float("inf")
    assert relative_error(torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0])) == float("inf")
    with pytest.raises(ParityError, match="another structure"):
        compare(ModelOutputs({"a": torch.ones(1)}), ModelOutputs((torch.ones(1),)), 1e-4)


class FilledWhenNeeded(nn.Module):
    """Fills a table at its first call, and in evaluation mode a count at every call."""

    def __init__(self, counts: bool) -> None:
        super().__init__()
        self.linear, self.counts = nn.Linear(4, 4), counts
        self.register_buffer("table", torch.zeros(1))
        self.register_buffer("count", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.table.shape[0] != x.shape[1]:
            self.table = torch.arange(x.shape[1], dtype=x.dtype)
        if self.counts and not self.training:
            self.count = self.count + x.mean(0)
        return self.linear(x) + self.table


def test_a_table_that_is_filled_when_needed_is_no_difference() -> None:
    model = FilledWhenNeeded(counts=False)
    network = trace(model, torch.randn(2, 4))

    assert network.parity.warnings == ()
    assert network.parity.worst == 0
    assert model.table.shape == (1,)


def test_a_buffer_that_every_call_changes_is_changed_by_the_traced_network_too() -> None:
    model = FilledWhenNeeded(counts=True)
    network = trace(model, torch.randn(2, 4))

    assert network.parity.strategy == "export, evaluation mode, any batch size"
    network.eval()(torch.ones(2, 4))
    assert torch.equal(model.count, torch.ones(4))


def test_a_traced_network_changes_its_precision() -> None:
    class States(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.lstm = nn.Embedding(5, 3), nn.LSTM(3, 3, batch_first=True)

        def forward(self, ids: Tensor) -> Tensor:
            return self.lstm(self.words(ids))[0]

    model, ids = States(), torch.tensor([[1, 2], [3, 4]])
    network = trace(model, ids).double()
    torch.testing.assert_close(network(ids), model.double()(ids))


def test_an_error_inside_of_a_part_names_that_part_and_the_line() -> None:
    with pytest.raises(TraceError, match=r"\(in stem, a Conv2d, at networks.py:\d+: "):
        trace(Residual(), torch.randn(1, 1, 8, 8))
