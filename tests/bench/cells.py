"""A network of the size of a derived DARTS network, as a bare trace graph: many cells, many joints."""

from __future__ import annotations

from nasviz.graph import Input, Output, TraceGraph, Vertex

SHAPE = (-1, 16, 16, 16)
SEPARABLE = ("relu", "conv2d", "conv2d", "batch_norm", "relu", "conv2d", "conv2d", "batch_norm")
DILATED = ("relu", "conv2d", "conv2d", "batch_norm")
POOL = ("max_pool2d", "batch_norm")
PLAN = (
    (SEPARABLE, 0),
    (SEPARABLE, 1),
    (SEPARABLE, 0),
    (DILATED, 2),
    (SEPARABLE, 1),
    (POOL, 3),
    (DILATED, 2),
    ((), 0),
)
"""Operators of a cell's eight edges, and which of the states before each of them reads."""


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[Vertex] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.modules: dict[str, str] = {"cells": "ModuleList"}

    def call(self, path: str, operator: str, inputs: tuple[str, ...], scope: tuple[str, ...]) -> str:
        vertex_id = path.replace(".", "_")
        parameters: tuple[str, ...] = ()
        if operator in ("conv2d", "batch_norm"):
            parameters = (f"{path}.weight",)
            self.shapes[parameters[0]] = (16, 16, 3, 3) if operator == "conv2d" else (16,)
        self.vertices.append(
            Vertex(
                vertex_id,
                path,
                operator,
                inputs,
                SHAPE,
                module=path if parameters else "",
                scope=scope,
                parameters=parameters,
                attributes={"dim": 1} if operator == "cat" else {},
                keeps_zero=not parameters,
                annihilates=bool(parameters),
                closes=True,
                macs=589_824 if operator == "conv2d" else 0,
            )
        )
        return vertex_id

    def run(self, path: str, operators: tuple[str, ...], source: str, scope: tuple[str, ...]) -> str:
        self.modules[path] = "Sequential"
        for number, operator in enumerate(operators):
            source = self.call(f"{path}.{number}", operator, (source,), (*scope, path))
        return source

    def cell(self, number: int, before: str, last: str) -> str:
        path = f"cells.{number}"
        self.modules[path] = "Cell"
        scope = ("cells", path)
        states = [
            self.run(f"{path}.preprocess{i}", ("relu", "conv2d", "batch_norm"), s, scope)
            for i, s in enumerate((before, last))
        ]
        for node in range(4):
            edges = []
            for side in range(2):
                operators, source = PLAN[2 * node + side]
                name = f"{path}.ops.{2 * node + side}"
                edges.append(self.run(name, operators, states[min(source, node + 1)], scope))
            states.append(self.call(f"{path}.add{node}", "add", tuple(edges), scope))
        return self.call(f"{path}.cat", "cat", tuple(states[2:]), scope)


def cells(num_cells: int = 14) -> TraceGraph:
    """`num_cells` cells of 61 operators each, between a stem and a head."""
    builder = _Builder()
    before = last = builder.call("stem", "conv2d", ("x",), ())
    for number in range(num_cells):
        before, last = last, builder.cell(number, before, last)
    end = builder.call("head", "conv2d", (last,), ())
    graph = TraceGraph(
        f"{num_cells} cells",
        (Input("x", SHAPE),),
        tuple(builder.vertices),
        (Output("output_0", end),),
        builder.shapes,
        modules=builder.modules,
    )
    graph.lint()
    return graph
