"""Count what a reader opens to follow one thing through the package: files entered, and switches of rooms.

    PYTHONPATH=. python tests/bench/bench_reading.py

A file counts once a function of it is called. A room is a folder of nasviz, or a module at its top.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import nasviz
from nasviz.models.demonet import DemoNet

PREFIX = f"{Path(nasviz.__file__).parent}/"


class Walk:
    """The files of nasviz in the order in which calls enter them."""

    def __init__(self) -> None:
        self._order: list[str] = []

    @property
    def files(self) -> Counter[str]:
        """Calls by file."""
        return Counter(self._order)

    @property
    def num_switches(self) -> int:
        """How often a call goes from one room into another."""
        rooms = [Path(name).parts[0] for name in self._order]
        return sum(left != right for left, right in pairwise(rooms))

    def enter(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PREFIX) and frame.f_code.co_name != "<module>":
            self._order.append(name.removeprefix(PREFIX))


@contextmanager
def watched() -> Iterator[Walk]:
    walk = Walk()
    sys.setprofile(walk.enter)
    try:
        yield walk
    finally:
        sys.setprofile(None)


def one_weight() -> dict[str, Walk]:
    """From the trace of DemoNet to an ONNX file of its sub-network, by the steps that a weight passes."""
    torch.manual_seed(0)
    model, images = DemoNet(width=0.25), torch.randn(2, 1, 28, 28)
    walks = {}
    with watched() as walks["trace"]:
        net = nasviz.trace(model, images)
    with watched() as walks["search_space"]:
        space = nasviz.search_space(net)
    chosen = space.select({s.id: float(s.id) for s in space.removable}, 3)
    nasviz.project_to_zero_(net, space, chosen)
    with watched() as walks["construct"]:
        sub = nasviz.construct(net, space)
    with tempfile.TemporaryDirectory() as folder, watched() as walks["export_onnx"]:
        nasviz.export_onnx(sub, Path(folder) / "small.onnx")
    return walks


def chosen_k(num_steps: int = 7) -> Walk:
    """From K to groups at zero: `create` and seven steps, of which three warm up and four project."""
    torch.manual_seed(0)
    net = nasviz.trace(DemoNet(width=0.25), torch.randn(2, 1, 28, 28))
    space = nasviz.search_space(net)
    images, labels = torch.randn(4, 1, 28, 28), torch.arange(4)
    with watched() as walk:
        optimizer = nasviz.optim.create(
            "h2spg", net, space, lr=0.1, momentum=0.9, target_sparsity=3, warmup_steps=3, projection_steps=4
        )
        step = optimizer.step
        for _ in range(num_steps):
            sys.setprofile(None)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            sys.setprofile(walk.enter)
            step()
    return walk


def show(title: str, walk: Walk, print_files: bool) -> None:
    print(f"{title:<14} {len(walk.files):3d} files, {walk.num_switches:4d} switches between rooms")
    if print_files:
        for name, count in walk.files.most_common():
            print(f"    {count:6d} {name}")


def main(print_files: Callable[[], bool] = lambda: "--files" in sys.argv) -> None:
    one_weight()  # first calls import modules, whose class bodies would count as entered
    chosen_k()
    walks = one_weight()
    print("One weight of DemoNet (width 0.25):")
    for title, walk in walks.items():
        show(title, walk, print_files())
    together = {name for walk in walks.values() for name in walk.files}
    rooms = Counter(Path(name).parts[0] for name in together)
    print(f"distinct files  {len(together)}: {', '.join(f'{room} {n}' for room, n in rooms.most_common())}")
    print("A chosen K, in create and 7 steps:")
    show("h2spg", chosen_k(), print_files())


if __name__ == "__main__":
    main()
