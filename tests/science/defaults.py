"""Do the defaults of every method lead somewhere? All methods on digits and on Fashion-MNIST, three seeds.

    python -m tests.science.defaults [--fashion DIR] [--seeds 3] [--file FILE] [--write docs/science.md]

First each method at its defaults, on a small network beside the same network in full: what went, or how
decided the search is, and the accuracy. Then search, genotype, and a larger network of the genotype that is
trained from scratch, beside one with as many convolutions at random places.

DIR has the four files of Fashion-MNIST, as *.gz (Debian: dataset-fashion-mnist); without it, digits alone are
used. Every result is one line of JSON; a second start goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import nasviz
from nasviz.catalog import NetworkSource
from nasviz.catalog.genotype import read_genotype
from nasviz.models.operations import NAS_BENCH_201_OPERATIONS
from nasviz.runs import RunSettings, Store
from nasviz.settings import METHODS
from nasviz.train import work
from tests.science.cell_search import TwoCells
from tests.science.digits import read
from tests.science.findings import markdown

__all__ = ["LARGER", "SEARCHES", "STUDIES", "random_genotype", "results", "written"]

RESULTS = Path(__file__).with_name("defaults.jsonl")
FASHION = "fashion_few"
SIZES = {"digits": 8, FASHION: 14}
NUM_FASHION = 3840
EPOCHS = {"digits": 8, FASHION: 10}
"""176 and 600 steps; twice as many epochs for methods that learn from two halves of the images."""
LONGER = {"digits": {"gsparsity": 4, "sidt": 3}, FASHION: {"gsparsity": 2}}
"""Times as many epochs for GSparsity, whose steps have no momentum to speed them up, and for transformers."""
BEFORE: dict[str, dict[str, Any]] = {
    "hspg": {"max_zeros": 1.0},
    "gsparsity": {"max_zeros": 1.0, "mu": 1.0},
}
"""Earlier defaults, without a limit, for comparison."""
K = 3
"""Structures that leave DemoNet in ASGNAS; without a target, nothing has to go."""
Network = tuple[str, dict[str, Any]]
DEMONET: Network = ("demonet", {"width": 0.125})
CELLS: Network = ("two_cells", {})
TRANSFORMER: Network = ("small_transformer", {})
LARGER = {"channels": 16, "cells": 1}
"""Three cells of twice the channels and more."""
STUDIES: dict[str, tuple[Network, dict[str, Any]]] = {
    "h2spg": (DEMONET, {"target_sparsity": K}),
    "h2spg_otov3": (DEMONET, {"target_sparsity": K}),
    "dhspg": (DEMONET, {"target_sparsity": K}),
    "hspg": (DEMONET, {}),
    "gsparsity": (CELLS, {"cells": ("NasBench201Cell",)}),
    "sparsenas": (CELLS, {}),
    "darts": (CELLS, {}),
    "milenas": (CELLS, {}),
    "rarts": (CELLS, {}),
    "rarts_width": (DEMONET, {}),
    "sidt": (TRANSFORMER, {}),
}
"""Network and the settings that say what is asked for; everything else stays at its default."""
SEARCHES = ("sparsenas", "gsparsity", "darts", "milenas", "rarts")


def two_cells(num_classes: int, in_channels: int) -> nn.Module:
    """Two cells of NAS-Bench-201 with four operations on each edge."""
    return TwoCells()


class SmallTransformer(nn.Module):
    """Two layers of a vision transformer."""

    def __init__(self, num_classes: int, in_channels: int, size: int) -> None:
        super().__init__()
        from torchvision.models import VisionTransformer

        self.net = VisionTransformer(size, 2, 2, 4, 32, 64, num_classes=num_classes)
        self.net.conv_proj = nn.Conv2d(in_channels, 32, 2, 2)
        nn.init.normal_(self.net.heads.head.weight, std=0.02)  # torchvision starts it at zero

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x)
        return scores


def small_transformer(num_classes: int, in_channels: int, size: tuple[int, int]) -> nn.Module:
    """Two layers of a vision transformer, four heads each."""
    return SmallTransformer(num_classes, in_channels, size[0])


def fashion_few(folder: Path, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """3,840 images of Fashion-MNIST to learn from and 1,000 to judge by, at half the size."""
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        _part(Path(folder), name, n, generator) for name, n in (("train", NUM_FASHION), ("t10k", 1000))
    )
    return train, test


def register() -> None:
    """Register networks and data; not on import, since tests of this module share a process with others."""
    nasviz.register_network(input_shape=(1, 8, 8), num_classes=10, cells=("NasBench201Cell",))(two_cells)
    nasviz.register_network(input_shape=(1, 8, 8), num_classes=10)(small_transformer)
    nasviz.register_dataset(
        name=FASHION,
        title="Fashion-MNIST, 14 x 14, few",
        channels=1,
        size=SIZES[FASHION],
        num_classes=10,
        num_train=NUM_FASHION,
        num_validation=1000,
        layout="a folder with the four files of Fashion-MNIST as *.gz",
    )(fashion_few)


def _part(folder: Path, name: str, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.from_numpy(_idx(folder / f"{name}-labels-idx1-ubyte.gz", 8).astype(np.int64))
    images = torch.from_numpy(_idx(folder / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28))
    chosen = torch.randperm(len(labels), generator=generator)[:count]
    return functional.avg_pool2d(images[chosen].float(), 2).round().to(torch.uint8), labels[chosen]


def _idx(path: Path, header: int) -> Any:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy()


def results(
    data: str,
    seed: int,
    known: list[dict[str, Any]],
    folder: str | None,
    methods: Sequence[str] = tuple(STUDIES),
) -> Iterator[dict[str, Any]]:
    """Yield all results of a data set and a seed that are not among the known ones, which are of the same."""
    rows = {(row["part"], row["method"]): row for row in known}
    shared = {"data": data, "data_folder": folder, "seed": seed}
    epochs = EPOCHS[data]
    for method in methods:
        (name, own), asked = STUDIES[method]
        source = NetworkSource(name, (1, SIZES[data], SIZES[data]), settings=own)
        length = epochs * LONGER[data].get(method, 1)
        if ("full", f"{name}, {length} epochs") not in rows:
            row = trained(source, target_sparsity=0, epochs=length, **shared)
            rows["full", f"{name}, {length} epochs"] = row | {
                "part": "full",
                "method": f"{name}, {length} epochs",
            }
            yield rows["full", f"{name}, {length} epochs"]
        given = asked | shared | {"epochs": length * METHODS[method].num_batches}
        for part, earlier in (("defaults", {}), ("before", BEFORE.get(method))):
            if earlier is None or (part, method) in rows:
                continue
            row = {"part": part, "method": method, "network": name, "full": f"{name}, {length} epochs"}
            rows[part, method] = row | trained(source, method=method, **given | earlier)
            yield rows[part, method]
    for method in [name for name in SEARCHES if name in methods]:
        found = rows["defaults", method].get("genotype")
        if found is None:
            continue
        for part, genotype in (("found", found), ("random", random_genotype(found, seed))):
            if (part, method) in rows:
                continue
            own = LARGER | {"genotype": genotype}
            source = NetworkSource("cells", (1, SIZES[data], SIZES[data]), settings=own)
            known_of = next((r for r in rows.values() if _same(r, part, genotype)), None)
            row = known_of or trained(source, target_sparsity=0, epochs=epochs // 2, **shared)
            row = row | {"part": part, "method": method, "genotype": genotype}
            rows[part, method] = row
            yield row


def _same(row: dict[str, Any], part: str, genotype: str) -> bool:
    """Return whether a row is of the same larger network, trained in the same way."""
    return row["part"] in ("found", "random") and row["genotype"] == genotype


def trained(source: NetworkSource, **settings: Any) -> dict[str, Any]:
    """Train a run to its end, and return the part of its report that the table needs."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = Store(folder).create(RunSettings.of(network=source, **settings))
        state = work(run)
        report = dict(run.end.result) if run.end else {}
        error = "" if run.end is None else str(getattr(run.end, "error", "") or "")
    kept = (
        "genotype",
        "decidedness",
        "sparsity",
        "num_structures",
        "survivors",
        "params_before",
        "params_after",
    )
    row: dict[str, Any] = {name: report[name] for name in kept if name in report}
    row["state"], row["outcome"] = state, report.get("outcome", error)
    row["accuracy"] = report.get("accuracy_subnet")
    row["num_selected"] = len(report.get("selected", ()))
    row["num_channels"] = len(report.get("channels", ()))
    row["seconds"] = round(time.process_time() - start, 1)
    return row


def written(edges: list[set[str]]) -> str:
    """Return the genotype with these operations on the six edges."""
    names = ["+".join(sorted(edge)) or "none" for edge in edges]
    places = ((0,), (0, 1), (0, 1, 2))
    own = iter(names)
    return "|" + "|+|".join("|".join(f"{next(own)}~{state}" for state in node) for node in places) + "|"


def random_genotype(genotype: str, seed: int) -> str:
    """Return a genotype of the same size: as many convolutions of each kind, at random places.

    The operations without parameters are drawn as well; where every edge has one operation, it keeps one.
    """
    found: dict[int, set[str]] = {place: set() for place in range(6)}
    for number, node in enumerate(read_genotype(genotype).cells[0].nodes):
        for name, state in node:
            found[number * (number + 1) // 2 + state] |= {name} - {"none"}
    counts = {name: sum(name in edge for edge in found.values()) for name in NAS_BENCH_201_OPERATIONS}
    free = ("skip_connect", "avg_pool_3x3")
    num_free = sum(counts[name] for name in free)
    is_single = all(len(edge) == 1 for edge in found.values())
    draw = random.Random(seed)
    for _ in range(10_000):
        edges: list[set[str]] = [set() for _ in range(6)]
        if is_single:
            order = [name for name in counts if name not in free for _ in range(counts[name])]
            order += [draw.choice(free) for _ in range(num_free)]
            draw.shuffle(order)
            edges = [{name} for name in order]
        else:
            for name in set(counts) - set(free):
                for place in draw.sample(range(6), counts[name]):
                    edges[place].add(name)
            for place, name in draw.sample([(p, n) for p in range(6) for n in free], num_free):
                edges[place].add(name)
        if is_connected(edges):
            return written(edges)
    raise AssertionError("no connected cell was drawn")


def is_connected(edges: list[set[str]]) -> bool:
    """Return whether the output of a cell depends on its input."""
    alive = {0}
    for node in (1, 2, 3):
        start = node * (node - 1) // 2
        if any(edges[start + state] for state in range(node) if state in alive):
            alive.add(node)
    return 3 in alive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--file", type=Path, default=RESULTS)
    parser.add_argument("--write", type=Path, help="write the table to this file")
    parser.add_argument("--methods", default=",".join(STUDIES), help="names, separated by commas")
    parser.add_argument("--only", choices=SIZES, help="one of the data sets")
    parser.add_argument("--table", action="store_true", help="print what is known, and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    register()
    path: Path = arguments.file
    rows = read(path)
    folders = {"digits": None} | ({FASHION: str(arguments.fashion)} if arguments.fashion else {})
    folders = {data: folder for data, folder in folders.items() if arguments.only in (None, data)}
    for seed in range(0 if arguments.table else arguments.seeds):
        for data, folder in folders.items():
            known = [row for row in rows if (row["data"], row["seed"]) == (data, seed)]
            for result in results(data, seed, known, folder, arguments.methods.split(",")):
                row = result | {"data": data, "seed": seed}
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    text = markdown(rows, {name: method.title for name, method in METHODS.items()})
    if arguments.write:
        arguments.write.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
