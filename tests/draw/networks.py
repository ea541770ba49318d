"""Networks with modules inside modules, as bare trace graphs."""

from __future__ import annotations

from nasviz.graph import Input, Output, TraceGraph, Vertex


def staged(stages: int = 2, blocks: int = 2, channels: int = 8) -> TraceGraph:
    """A small residual network: `stem`, then `stages.I.blocks.J` with two branches each, then `head`."""
    vertices: list[Vertex] = []
    shapes: dict[str, tuple[int, ...]] = {}
    modules = {"stages": "ModuleList"}

    def call(path: str, operator: str, *inputs: str, scope: tuple[str, ...] = (), module: bool = True) -> str:
        vertex_id = path.replace(".", "_")
        parameters: tuple[str, ...] = ()
        if operator == "conv2d":
            parameters = (f"{path}.weight", f"{path}.bias")
            shapes.update({parameters[0]: (channels, channels, 3, 3), parameters[1]: (channels,)})
        vertices.append(
            Vertex(
                vertex_id,
                path,
                operator,
                inputs,
                (-1, channels, 8, 8),
                module=path if module else "",
                scope=scope,
                parameters=parameters,
                keeps_zero=operator in ("relu", "add"),
                annihilates=bool(parameters),
                closes=True,
                macs=channels * channels * 9 * 64 if parameters else 0,
            )
        )
        return vertex_id

    last = call("stem", "conv2d", "x")
    for i in range(stages):
        stage = f"stages.{i}"
        modules[stage] = "Sequential"
        for j in range(blocks):
            block = f"{stage}.blocks.{j}"
            modules |= {f"{stage}.blocks": "Sequential", block: "Block", f"{block}.branch": "Branch"}
            scope = ("stages", stage, f"{stage}.blocks", block)
            inner = (*scope, f"{block}.branch")
            one = call(f"{block}.branch.conv1", "conv2d", last, scope=inner)
            two = call(f"{block}.branch.relu", "relu", one, scope=inner, module=False)
            three = call(f"{block}.branch.conv2", "conv2d", two, scope=inner)
            four = call(f"{block}.shortcut", "conv2d", last, scope=scope)
            last = call(f"{block}.add", "add", three, four, scope=scope, module=False)
    last = call("head", "conv2d", last)
    graph = TraceGraph(
        "staged",
        (Input("x", (-1, channels, 8, 8)),),
        tuple(vertices),
        (Output("output_0", last),),
        shapes,
        modules=modules,
    )
    graph.lint()
    return graph


def named(*names: str) -> TraceGraph:
    """A chain of operators with these names, all inside modules with these names."""
    inputs = ("x", *(f"v{i}" for i in range(len(names))))
    vertices = tuple(
        Vertex(
            f"v{i}",
            name,
            "relu",
            (inputs[i],),
            (-1, 4),
            type_name=name,
            module=name,
            scope=(name, f"{name}!"),
            source=name,
        )
        for i, name in enumerate(names)
    )
    modules = {name: name for name in names}
    return TraceGraph("named", (Input("x", (-1, 4)),), vertices, (Output("y", inputs[-1]),), modules=modules)
