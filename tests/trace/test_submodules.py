"""A part of a network is traced on what the network gives it, cut, and spliced back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import nasviz
from nasviz.errors import ConstructionError, TraceError
from tests.families.lively import enliven_
from tests.families.torchvision_networks import DETECTORS, detector


class Body(nn.Module):
    """Two branches; called with a keyword, and read by others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(4, 6)
        self.out_channels = 6

    def forward(self, x: Tensor, *, scale: float, mask: Tensor | None = None) -> dict[str, Tensor]:
        return {"features": self.a(x) * scale + self.b(x)}


class FollowsValues(nn.Module):
    """Cannot be traced: what it does follows the values of its features."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.unused = Body(), nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, items: list[Tensor]) -> Tensor:
        features = self.body(torch.stack(items), scale=2.0, mask=None)["features"]
        assert features.shape[1] == self.body.out_channels
        return self.head(features[features.sum(1) > 0])


def items() -> list[Tensor]:
    return [torch.randn(4) for _ in range(8)]


def test_a_part_is_traced_on_the_arguments_of_its_call() -> None:
    model = FollowsValues().train()
    network = nasviz.trace_submodule(model, "body", (items(),))

    assert network.parity.warnings == ()
    assert network.a is model.body.a
    assert [o.name for o in network.trace_graph.outputs] == ["features"]
    assert not model.body._forward_pre_hooks
    assert model.training


def test_the_whole_runs_with_the_smaller_part() -> None:
    torch.manual_seed(0)
    model, example = FollowsValues(), items()
    network = nasviz.trace_submodule(model, "body", (example,))
    space = nasviz.search_space(network)
    chosen = [space.removable[0].id]
    sub = nasviz.construct(network, space, chosen)

    small = nasviz.splice(model, "body", sub.module)

    zeroed = copy.deepcopy(model)
    nasviz.project_to_zero_(zeroed.body, space, chosen)
    torch.testing.assert_close(small(example), zeroed(example), rtol=0, atol=1e-6)
    assert sum(p.numel() for p in small.parameters()) == sum(p.numel() for p in model.parameters()) - 30
    assert small.body.out_channels == 6
    assert small.head.weight is not model.head.weight
    assert not hasattr(sub.module, "out_channels")


def test_what_is_not_there_or_not_called_is_refused_by_name() -> None:
    model = FollowsValues()
    with pytest.raises(TraceError, match="no sub-module 'backbone'; its children are body, head, unused"):
        nasviz.trace_submodule(model, "backbone", (items(),))
    with pytest.raises(TraceError, match="does not call unused on these example inputs; pass"):
        nasviz.trace_submodule(model, "unused", (items(),))
    with pytest.raises(TraceError, match="does not call head on these example inputs: stack"):
        nasviz.trace_submodule(model, "head", ([],))
    with pytest.raises(TraceError, match="the empty path"):
        nasviz.splice(model, "", nn.Identity())


class SharedTable(nn.Module):
    """An encoder whose table of tokens scores its features too."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4))
        self.scores = nn.Linear(4, 9, bias=False)
        self.scores.weight = self.encoder[0].weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.scores(self.encoder(ids))


def test_weights_that_the_rest_reads_stay_shared() -> None:
    model, ids = SharedTable(), torch.tensor([[1, 2], [3, 4]])
    network = nasviz.trace_submodule(model, "encoder", ids)
    assert "the rest of SharedTable reads 0.weight too" in network.parity.warnings[0]

    again = nasviz.splice(model, "encoder", network)
    assert again.scores.weight is again.encoder.get_parameter("0.weight")
    assert torch.equal(again(ids), model(ids))
    with pytest.raises(ConstructionError, match=r"0\.weight of encoder is read by the rest of SharedTable"):
        nasviz.splice(model, "encoder", nn.Identity())


def detector_is_cut(name: str) -> int:
    """Check it, and return how many boxes were compared."""
    torch.manual_seed(0)
    model = detector(name)
    enliven_(model.backbone)
    for module in (model, getattr(model, "roi_heads", None)):
        if hasattr(module, "score_thresh"):
            module.score_thresh = 0.0
    model.eval()
    images = [torch.rand(3, 64, 64), torch.rand(3, 50, 60)]
    network = nasviz.trace_submodule(model, "backbone", (images,))
    space = nasviz.search_space(network)
    k = space.max_sparsity // 2
    chosen = space.select({s.id: float(i) for i, s in enumerate(space.removable)}, k)
    sub = nasviz.construct(network, space, chosen)

    small = nasviz.splice(model, "backbone", sub.module)

    zeroed = copy.deepcopy(model)
    nasviz.project_to_zero_(zeroed.backbone, space, chosen)
    with torch.no_grad():
        wanted, got = zeroed(images), small(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert k == 0 or sub.report.params_after < sub.report.params_before
    return sum(len(found["boxes"]) for found in wanted)


def test_a_detector_runs_with_its_smaller_backbone() -> None:
    assert detector_is_cut("fasterrcnn_mobilenet_v3_large_320_fpn") > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in DETECTORS if "320" not in n])
def test_every_detector_runs_with_its_smaller_backbone(name: str) -> None:
    detector_is_cut(name)
