"""One search of the comparison of cells: tiny cells on few noisy digits, and what is left, trained anew."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

import nasviz
from nasviz.graph import SearchSpace
from nasviz.graph.cells.genotypes import cell_graphs
from nasviz.models.nas_bench_201 import NasBench201Cell
from nasviz.models.operations import NAS_BENCH_201_OPERATIONS
from nasviz.nas import construct_derived, derived_network, derived_sparse, with_architecture
from nasviz.nas import create as create_relaxed
from nasviz.optim import create_gsparsity
from nasviz.optim.groups import GroupScaler
from nasviz.subnet import Subnetwork
from nasviz.trace import TracedNetwork
from tests.science.training import accuracy, fit

__all__ = ["CellStudy", "Steps"]

NUM_TRAIN, NOISE, BATCH_SIZE, CHANNELS = 400, 0.6, 64, 8
CELLS = ("NasBench201Cell",)
THRESHOLDS = (1e-6, 1e-3, 0.5)


@dataclass(frozen=True, slots=True)
class Steps:
    """How long each part takes."""

    search: int = 150
    retrain: int = 150
    epoch: int = 10
    """Steps after which the penalty of SparseNAS rises."""


class TwoCells(nn.Module):
    """Two cells of NAS-Bench-201, with a pooling between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS))
        self.first, self.second = (NasBench201Cell(CHANNELS, NAS_BENCH_201_OPERATIONS) for _ in range(2))
        self.pool, self.norm = nn.AvgPool2d(2), nn.BatchNorm2d(CHANNELS)
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.second(self.pool(self.first(self.stem(x))))))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


@dataclass
class CellStudy:
    """A seed, the digits that it draws, and the network: everything begins at the same weights."""

    seed: int
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        digits = load_digits()
        images = torch.from_numpy((digits.images - digits.images.mean()) / digits.images.std()).float()
        generator = torch.Generator().manual_seed(self.seed)
        images = (images + NOISE * torch.randn(images.shape, generator=generator)).unsqueeze(1)
        labels = torch.from_numpy(digits.target)
        few, many = train_test_split(
            range(len(labels)), train_size=NUM_TRAIN, stratify=digits.target, random_state=self.seed
        )
        self.train, self.test = (images[few], labels[few]), (images[many], labels[many])
        self.halves = [(images[few[i::2]], labels[few[i::2]]) for i in range(2)]

    @cached_property
    def network(self) -> TracedNetwork:
        """Two cells with all operations."""
        torch.manual_seed(self.seed)
        return nasviz.trace(TwoCells(), self.train[0][:2])

    def full(self) -> dict[str, Any]:
        """The network with all operations, trained; its accuracy."""
        net = copy.deepcopy(self.network)
        return {"parameters": _size(net), "accuracy": self._anew(net), "share_of_skips": 0.25}

    def softmax(self, method: str, **settings: Any) -> dict[str, Any]:
        """Search by a softmax over each edge, in cells of one type together."""
        generator = torch.Generator().manual_seed(self.seed)
        net, space = self._searchable("softmax", generator)
        optimizer = create_relaxed(
            method, net, space, architecture_lr=0.02, architecture_weight_decay=1e-3, **self._sgd() | settings
        )
        seconds = self._search(net, optimizer)
        searched = accuracy(net, self.test)
        derived = derived_network(net, space, edges_per_node=0)
        kept = [s.vertex for s in derived.derivation.kept]
        return self._judged(construct_derived(derived), space, kept) | {
            "accuracy_searched": searched,
            "seconds": seconds,
        }

    def sparse(self) -> dict[str, Any]:
        """Search by a sparse group lasso on plain weights of operations."""
        net, space = self._searchable("plain", None)
        optimizer = create_relaxed(
            "sparsenas",
            net,
            space,
            architecture_lr=0.01,
            penalty_step=0.02,
            steps_per_epoch=self.steps.epoch,
            **self._sgd(),
        )
        seconds = self._search(net, optimizer)
        searched = accuracy(net, self.test)
        derived = derived_sparse(net, space, optimizer)
        kept = [s.vertex for s in derived.derivation.kept]
        return self._judged(construct_derived(derived), derived.space, kept) | {
            "accuracy_searched": searched,
            "sparsity": optimizer.sparsity._asdict(),
            "seconds": seconds,
        }

    def gsparsity(self, mu: float) -> dict[str, Any]:
        """Search by group sparsity; the accuracy before pruning and at each threshold, and what survives."""
        net, space = self._with_switches(0.8)
        optimizer = create_gsparsity(
            net, space, projection_steps=2 * self.steps.search, lr=0.08, rho=0.8, mu=mu, cells=CELLS
        )
        start = time.process_time()
        # The others take two batches a step.
        self._fit(net, optimizer, 2 * self.steps.search)
        row: dict[str, Any] = {"accuracy_searched": accuracy(net, self.test), "pruned_at": {}}
        row["seconds"] = time.process_time() - start
        for threshold in THRESHOLDS:
            short = optimizer.shorter_than(threshold)
            group = optimizer.group_of(short)
            with torch.no_grad():
                kept = [t.clone() for t in (*group.tensors, *(r.tensor for r in group.rows))]
                GroupScaler(group).zero_()
                found = accuracy(net, self.test)
                for tensor, value in zip(
                    (*group.tensors, *(r.tensor for r in group.rows)), kept, strict=True
                ):
                    tensor.copy_(value)
            row["pruned_at"][f"{threshold:g}"] = {"pruned": len(short), "accuracy": found}
        short = optimizer.shorter_than(THRESHOLDS[0])
        row |= {"survivors": len(space.removable) - len(short), "groups": len(space.removable)}
        if not space.is_valid(short):
            return row | {"is_valid": False}
        optimizer.prune()
        alive = [s.vertices[-1] for s in space.removable if s.id not in set(short)]
        return row | {"is_valid": True} | self._judged(nasviz.construct(net, space, short), space, alive)

    def h2spg(self, parameters: int) -> dict[str, Any]:
        """H2SPG at the K whose sub-network has the nearest number of parameters; then trained anew, too."""
        _, space = self._with_switches(1.0)
        scores = self._scores()
        every = [space.plan(space.select(scores, k)).params_after for k in range(space.max_sparsity + 1)]
        k = min(range(len(every)), key=lambda k: abs(math.log(every[k] / parameters)))
        net, space = self._with_switches(1.0)
        optimizer = self._h2spg(net, space, k)
        self._fit(net, optimizer, self.steps.search)
        sub = nasviz.construct(net, space, optimizer.selected)
        alive = [s.vertices[-1] for s in space.removable if s.id not in set(sub.report.selected)]
        straight = accuracy(sub.module, self.test)
        return self._judged(sub, space, alive) | {"accuracy_searched": straight, "target_sparsity": k}

    def _scores(self) -> dict[int, float]:
        """What H2SPG ranks by at the end of its warm-up."""
        net, space = self._with_switches(1.0)
        optimizer = self._h2spg(net, space, 1)
        fit(net, optimizer, self.train, self.steps.search, self.seed, last=max(1, self.steps.search // 10))
        return optimizer.scores

    def _h2spg(self, net: TracedNetwork, space: SearchSpace, k: int) -> Any:
        return nasviz.optim.create(
            "h2spg",
            net,
            space,
            lr=0.05,
            momentum=0.9,
            weight_decay=5e-4,
            target_sparsity=k,
            warmup_steps=max(1, self.steps.search // 10),
            projection_steps=max(1, self.steps.search // 5),
            score_every=1,
        )

    def _searchable(self, kind: str, generator: torch.Generator | None) -> Any:
        net = copy.deepcopy(self.network)
        return with_architecture(net, nasviz.search_space(net), kind=kind, cells=CELLS, generator=generator)

    def _with_switches(self, initial: float) -> Any:
        """The network with switches on what has no variables of its own, so that it can go too."""
        net = copy.deepcopy(self.network)
        space = nasviz.search_space(net)
        nodes = {v.id for v in space.trace if v.operator == "add"}
        where = [s.name for s in space.switchable if nodes.issuperset(s.joints)]
        return nasviz.add_switches(net, space, where=where, initial=initial)

    def _sgd(self) -> dict[str, Any]:
        return {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}

    def _search(self, net: nn.Module, optimizer: Any) -> float:
        """Search on both halves, and the seconds of processor that it took."""
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer.inner, self.steps.search)
        generator = torch.Generator().manual_seed(self.seed)
        start = time.process_time()
        net.train()
        for _ in range(self.steps.search):
            losses = [_loss(net, *_draw(half, generator)) for half in self.halves]
            optimizer.step(*losses)
            schedule.step()
        return time.process_time() - start

    def _fit(self, net: nn.Module, optimizer: Any, steps: int) -> None:
        """As `fit`, but at a constant rate where the penalty itself decides what becomes of the groups."""
        is_constant = type(optimizer).__name__ == "GSparsity"
        if not is_constant:
            fit(net, optimizer, self.train, steps, self.seed)
            return
        generator = torch.Generator().manual_seed(self.seed)
        net.train()
        for _ in range(steps):
            optimizer.zero_grad()
            _loss(net, *_draw(self.train, generator))().backward()
            optimizer.step()

    def _judged(self, sub: Subnetwork, space: SearchSpace, kept: Iterable[str]) -> dict[str, Any]:
        """Size of what is left, the share of skip connections in it, and its accuracy when trained anew."""
        stays = set(kept)
        edges = [edge for cell in cell_graphs(space, CELLS) for edge in cell.edges if edge.vertex in stays]
        inside = [edge.operation for edge in edges]
        return {
            "parameters": sub.report.params_after,
            "macs": sub.report.macs_after,
            "max_relative_error": sub.report.max_relative_error,
            "kept": {name: inside.count(name) for name in NAS_BENCH_201_OPERATIONS},
            "share_of_skips": inside.count("skip_connect") / max(1, len(inside)),
            "accuracy": self._anew(copy.deepcopy(sub.module)),
        }

    def _anew(self, net: nn.Module) -> float:
        """Accuracy after training from random weights, the same recipe for all."""
        torch.manual_seed(self.seed + 1000)
        for module in net.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        for name, parameter in net.named_parameters():
            if name.startswith("switches"):
                nn.init.ones_(parameter)
        optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=5e-4)
        fit(net, optimizer, self.train, self.steps.retrain, self.seed + 1)
        return accuracy(net, self.test)


def _size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _draw(data: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    chosen = torch.randperm(len(data[1]), generator=generator)[:BATCH_SIZE]
    return data[0][chosen], data[1][chosen]


def _loss(net: nn.Module, x: Tensor, y: Tensor) -> Any:
    return lambda: functional.cross_entropy(net(x), y)
