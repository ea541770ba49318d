"""The recurrent cell on text as a run: DARTS and SparseNAS, resumed to the bit, derived exactly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import nasviz
from nasviz import subnet
from nasviz.catalog import NetworkSource
from nasviz.draw.genotype import cells_of
from nasviz.errors import DataError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.models import create
from nasviz.runs import RunSettings, Store
from nasviz.train import open_session, train, work
from nasviz.train.checkpoint import restore, save
from nasviz.train.windows import answer, perplexity, require_step

SMALL = {"hidden": 6, "nodes": 2}


def settings(**changes: Any) -> RunSettings:
    """Four steps, one of them with the architecture at rest."""
    usual: dict[str, Any] = {
        "network": NetworkSource("recurrent_cell", settings=SMALL),
        "data": "python_docs",
        "optimizer": "darts",
        "architecture_lr": 0.1,
        "warmup_steps": 1,
        "lr": 0.5,
        "epochs": 1,
        "batch_size": 256,
        "device": "cpu",
    }
    return RunSettings.of(**(usual | changes))


def test_windows_are_read_symbol_by_symbol_with_the_same_weights() -> None:
    model, (symbols, state) = create("recurrent_cell", **SMALL)
    torch.manual_seed(0)
    windows, labels = torch.randint(96, (3, 5)), torch.randint(96, (3, 5))
    net = nasviz.trace(model, (symbols, state)).eval()
    with torch.no_grad():
        scores, flat = answer(net, windows, labels)
        state = torch.zeros(3, 6)
        for place in range(5):
            found, state = model.eval()(windows[:, place], state)
            torch.testing.assert_close(scores.view(3, 5, 96)[:, place], found)
    assert torch.equal(flat, labels.flatten())
    with pytest.raises(DataError, match="symbols"):
        require_step(torch.nn.Linear(5, 2))


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "sparsenas", "architecture_lr": 0.02, "penalty_step": 3.0}], ids=str
)
def test_a_search_of_the_cell_ends_in_an_exact_step_with_its_perplexity(tmp_path, changes: dict) -> None:
    run = Store(tmp_path).create(settings(**changes))
    assert work(run) == "done"
    result = run.end.result
    assert result["max_relative_error"] < 1e-5
    assert result["perplexity_full"] == pytest.approx(math.exp(result["loss_full"]))
    assert 1 < result["perplexity_subnet"] < 200
    (cell,) = cells_of(run)
    assert (cell.name, cell.cell.num_inputs, cell.cell.num_nodes) == ("recurrent", 1, 2)
    assert [e.operation for e in cell.cell.edges] == ["tanh", "relu", "sigmoid", "identity"] * 3
    if run.settings.method.name == "darts":
        assert [len(node) for node in cell.incoming] == [1, 1]
        assert cell.paths == "single-path"
    step = subnet.load(run.folder / "subnet")
    scores, after = step(torch.arange(3), torch.zeros(3, 6))
    assert (scores.shape, after.shape) == ((3, 96), (3, 6))


@pytest.mark.parametrize("optimizer", ["darts", "sparsenas"])
def test_a_search_of_the_cell_goes_on_to_the_bit(tmp_path, optimizer: str) -> None:
    chosen = settings(optimizer=optimizer, architecture_lr=0.02)
    straight = open_session(chosen)
    losses = [float(record.loss) for record in train(straight)]
    folder = Store(tmp_path).create(chosen).folder
    first = open_session(chosen)
    steps = train(first)
    begun = [float(next(steps).loss) for _ in range(2)]
    save(first, folder)
    resumed = open_session(chosen)
    assert restore(resumed, folder)
    assert begun + [float(record.loss) for record in train(resumed)] == losses
    wanted = straight.network.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in resumed.network.state_dict().items())


def test_every_node_reads_every_state_before_it_by_every_activation() -> None:
    model, inputs = create("recurrent_cell")
    assert (
        sum(p.numel() for p in model.parameters())
        == NetworkSource("recurrent_cell").entry.published["params"]
    )
    net = nasviz.trace(model, inputs)
    assert net.trace_graph.macs == NetworkSource("recurrent_cell").entry.published["macs"]
    space = nasviz.search_space(net, collapse=["Highway"])
    searched: SearchSpace = nasviz.nas.with_architecture(net, space, cells=["RecurrentCell"])[1]
    assert len(searched.switches) == 36 * 4


def test_text_and_images_are_not_mixed_up() -> None:
    with pytest.raises(InvalidSettingError, match="recurrent_cell reads text, but digits holds images"):
        open_session(settings(data="digits"))
    with pytest.raises(InvalidSettingError, match="demonet reads images, but python_docs holds text"):
        open_session(settings(network=NetworkSource("demonet", settings={"width": 0.1})))
    with pytest.raises(InvalidSettingError, match="symbols of a text cannot be mixed"):
        open_session(settings(mixup=0.2))


def test_perplexity_is_finite_where_a_loss_explodes() -> None:
    assert perplexity(0.0) == 1.0
    assert math.isfinite(perplexity(1e9))
