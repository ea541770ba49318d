"""Random series-parallel networks with additions, concatenations, products and sigmoids."""

from __future__ import annotations

import random

from nasviz.graph import TraceGraph
from tests.graph.networks import Sketch


def random_network(seed: int, *, depth: int = 3, products: bool = True) -> TraceGraph:
    """A network drawn from `seed`: blocks in series, each a fan of branches that a joint gathers."""
    draw = random.Random(seed)
    s = Sketch(f"random-{seed}")
    count = iter(range(10_000))

    def layer(source: str) -> str:
        kind = draw.choice(["conv", "conv", "norm", "relu"])
        name = f"{kind}{next(count)}"
        if kind == "conv":
            return s.conv(name, source, 4, draw.choice([1, 3]))
        return s.norm(name, source) if kind == "norm" else s.keep(name, "relu", source)

    def branch(source: str, level: int) -> str:
        for _ in range(draw.randint(1, 3)):
            nests = level > 0 and draw.random() < 0.4
            source = block(source, level - 1) if nests else layer(source)
        return source

    def block(source: str, level: int) -> str:
        if products and draw.random() < 0.15:
            gate = s.sigmoid(f"sigmoid{next(count)}", branch(source, level))
            return s.joint(f"mul{next(count)}", "mul", s.conv(f"conv{next(count)}", source, 4, 1), gate)
        ends = [branch(source, level) for _ in range(draw.randint(2, 3))]
        if draw.random() < 0.25:
            ends.append(source)
        ends = list(dict.fromkeys(ends))
        if draw.random() < 0.4 or len(ends) != 2:
            return (
                s.conv(f"conv{next(count)}", s.joint(f"cat{next(count)}", "cat", *ends), 4, 1)
                if len(ends) > 1
                else ends[0]
            )
        return s.joint(f"add{next(count)}", "add", *ends)

    source = s.conv("stem", "x", 4)
    for _ in range(draw.randint(1, 3)):
        source = block(source, depth - 1)
    return s.done(s.head(source))
