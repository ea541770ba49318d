"""Latency: measured side by side, estimated by vertex, and K from a budget of milliseconds."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import InvalidSettingError
from nasviz.graph import LatencyTable, fit_budget, search_space
from nasviz.subnet import measure_latencies, measure_latency, measure_vertices
from tests.graph.networks import demonet


class Sleep(nn.Module):
    def __init__(self, milliseconds: float) -> None:
        super().__init__()
        self.seconds, self.modes = milliseconds / 1e3, []

    def forward(self, x):
        self.modes.append((self.training, torch.is_grad_enabled()))
        time.sleep(self.seconds)
        return x


def test_networks_take_turns_in_evaluation_mode_and_are_left_as_they_were():
    slow, fast = Sleep(8.0), Sleep(2.0)
    found = measure_latencies((slow, fast.eval()), torch.zeros(3, 1), repeats=5, warm_up=2)
    assert len(slow.modes) == len(fast.modes) == 7
    assert set(slow.modes) == {(False, False)}
    assert (slow.training, fast.training) == (True, False)
    assert found[0].median_ms >= 8.0
    assert 2.0 <= found[1].median_ms < found[0].median_ms
    assert found[0].iqr_ms >= 0
    assert (found[0].num_repeats, found[0].batch_size, found[0].device) == (5, 3, "cpu")


def test_nothing_to_time_is_refused():
    with pytest.raises(InvalidSettingError, match="repeats=0"):
        measure_latency(nn.Identity(), torch.zeros(1), repeats=0)


def test_every_vertex_is_timed_and_the_rest_is_left_alone():
    model, inputs = nasviz.zoo.create("demonet", width=0.25, input_shape=(1, 8, 8))
    net = nasviz.trace(model, inputs)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    table = measure_vertices(net, inputs, repeats=3, warm_up=1)
    assert table.vertex_ms.keys() == {vertex.id for vertex in net.trace_graph}
    assert all(ms > 0 for ms in table.vertex_ms.values())
    assert sum(map(table.share, table.vertex_ms)) == pytest.approx(table.whole_ms)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert net.training


@pytest.fixture(scope="module")
def table():
    """As many milliseconds as a vertex has MACs, and one for each of the others."""
    trace = demonet()
    times = {vertex.id: float(vertex.macs or 1) for vertex in trace}
    return LatencyTable(sum(times.values()), times, "cpu", 1)


def test_what_goes_saves_its_time_and_what_lost_channels_a_share(table):
    space = search_space(demonet())
    for erased in ((), (1,), (1, 2, 10)):
        plan = space.plan(erased)
        gone = {*plan.erased, *plan.bypassed}
        rest = sum(1 for v in space.trace if not v.macs and v.id not in gone)
        assert table.after(plan) == pytest.approx(plan.macs_after + rest)
    conv6 = next(v.id for v in space.trace if v.name == "conv6")
    assert space.plan((1, 2)).work_left == {conv6: pytest.approx(104 / 280)}


def test_k_from_a_budget_of_milliseconds_is_k_from_one_of_macs(table):
    space = search_space(demonet())
    for share in (0.95, 0.7, 0.5):
        by_time = fit_budget(space, table.whole_ms * share, table)
        by_macs = fit_budget(space, space.trace.macs * share, "macs")
        assert by_time.k == by_macs.k
        assert by_time.is_reached is by_macs.is_reached


def test_the_estimate_of_a_real_table_is_what_the_gone_vertices_took():
    model, inputs = nasviz.zoo.create("demonet", width=0.25, input_shape=(1, 8, 8))
    net = nasviz.trace(model, inputs)
    space = nasviz.search_space(net)
    table = measure_vertices(net, inputs, repeats=2, warm_up=1)
    (conv8,) = (s for s in space.removable if s.name.startswith("conv8"))
    plan = space.plan([conv8.id])
    assert len(plan.bypassed) == 1
    gone = sum(map(table.share, (*conv8.vertices, *plan.bypassed)))
    assert table.after(plan) == pytest.approx(table.whole_ms - gone)
