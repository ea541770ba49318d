"""Networks of the documents as bare trace graphs: the smallest cases that the light wing is tested on."""

from __future__ import annotations

from collections.abc import Sequence

from nasviz.graph import Input, Output, TraceGraph, Vertex


class Sketch:
    """Draws a trace graph call by call; every method returns the id of the new vertex."""

    def __init__(self, name: str, channels: int = 4, size: int = 8) -> None:
        self.name, self.shapes, self.vertices = name, {"x": (-1, channels, size, size)}, []
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.buffers: dict[str, tuple[int, ...]] = {}

    def put(
        self, vertex_id: str, operator: str, inputs: Sequence[str], shape: tuple[int, ...], **more
    ) -> str:
        self.shapes[vertex_id] = shape
        self.vertices.append(Vertex(vertex_id, vertex_id, operator, tuple(inputs), shape, **more))
        return vertex_id

    def conv(
        self, vertex_id: str, source: str, width: int, kernel: int = 3, stride: int = 1, groups: int = 1
    ):
        batch, channels, height, _ = self.shapes[source]
        names = (f"{vertex_id}.weight", f"{vertex_id}.bias")
        self.parameters |= {
            names[0]: (width, channels // groups, kernel, kernel),
            names[1]: (width,),
        }
        height //= stride
        return self.put(
            vertex_id,
            "conv2d",
            [source],
            (batch, width, height, height),
            module=vertex_id,
            parameters=names,
            annihilates=True,
            closes=True,
            attributes={"groups": groups, "in_channels": channels, "out_channels": width},
            macs=width * channels // groups * kernel * kernel * height * height,
        )

    def norm(self, vertex_id: str, source: str) -> str:
        width = self.shapes[source][1]
        names = (f"{vertex_id}.weight", f"{vertex_id}.bias")
        statistics = (f"{vertex_id}.running_mean", f"{vertex_id}.running_var")
        self.parameters |= dict.fromkeys(names, (width,))
        self.buffers |= dict.fromkeys(statistics, (width,))
        return self.put(
            vertex_id,
            "batch_norm",
            [source],
            self.shapes[source],
            module=vertex_id,
            parameters=names,
            buffers=statistics,
            annihilates=True,
            closes=True,
        )

    def keep(self, vertex_id: str, operator: str, source: str) -> str:
        return self.put(vertex_id, operator, [source], self.shapes[source], keeps_zero=True, closes=True)

    def sigmoid(self, vertex_id: str, source: str) -> str:
        return self.put(vertex_id, "sigmoid", [source], self.shapes[source])

    def joint(self, vertex_id: str, operator: str, *sources: str) -> str:
        batch, channels, *rest = self.shapes[sources[0]]
        if operator == "cat":
            channels = sum(self.shapes[s][1] for s in sources)
        attributes = {"dim": 1} if operator == "cat" else {}
        return self.put(
            vertex_id,
            operator,
            sources,
            (batch, channels, *rest),
            attributes=attributes,
            keeps_zero=True,
            closes=True,
        )

    def linear(self, vertex_id: str, source: str, width: int) -> str:
        names = (f"{vertex_id}.weight", f"{vertex_id}.bias")
        features = self.shapes[source][-1]
        self.parameters |= {names[0]: (width, features), names[1]: (width,)}
        return self.put(
            vertex_id,
            "linear",
            [source],
            (-1, width),
            module=vertex_id,
            parameters=names,
            annihilates=True,
            closes=True,
            macs=features * width,
        )

    def head(self, source: str, classes: int = 10) -> str:
        channels = self.shapes[source][1]
        pooled = self.put(
            "gap", "adaptive_avg_pool2d", [source], (-1, channels, 1, 1), keeps_zero=True, closes=True
        )
        flat = self.put(
            "flatten",
            "flatten",
            [pooled],
            (-1, channels),
            keeps_zero=True,
            closes=True,
            attributes={"start_dim": 1, "end_dim": 3},
        )
        return self.linear("linear9", flat, classes)

    def done(self, *outputs: str) -> TraceGraph:
        graph = TraceGraph(
            self.name,
            (Input("x", self.shapes["x"]),),
            tuple(self.vertices),
            tuple(Output(f"output_{i}", source) for i, source in enumerate(outputs)),
            self.parameters,
            self.buffers,
        )
        graph.lint()
        return graph


def demonet() -> TraceGraph:
    """DemoNet (ASGNAS, figure 2) at the widths that reproduce its published sizes."""
    s = Sketch("DemoNet", channels=1, size=28)
    stem = s.keep("relu1", "relu", s.norm("bn1", s.conv("conv1", "x", 32)))
    conv2 = s.norm("bn2", s.conv("conv2", stem, 88))
    conv3 = s.norm("bn3", s.conv("conv3", s.keep("maxpool", "max_pool2d", stem), 88))
    pool = s.keep("avgpool", "avg_pool2d", stem)
    conv4 = s.norm("bn4", s.conv("conv4", pool, 104, 1))
    conv5 = s.norm("bn5", s.conv("conv5", pool, 104))
    add1 = s.joint("add1", "add", conv4, conv5)
    cat = s.joint("concat", "cat", conv2, conv3, add1)
    conv6 = s.norm("bn6", s.conv("conv6", cat, 184, stride=2))
    conv7 = s.norm("bn7", s.conv("conv7", conv6, 144))
    conv8 = s.norm("bn8", s.conv("conv8", conv6, 144, 1))
    return s.done(s.head(s.joint("add2", "add", conv7, conv8)))


def stacked_unets() -> TraceGraph:
    """StackedUnets (ASGNAS, appendix): node numbers of its published drawing, widths kept small."""
    s = Sketch("StackedUnets", channels=3, size=32)

    def chain(source: str, *members: str) -> str:
        for member in members:
            kind, number = member.rstrip("0123456789"), member
            if kind == "conv":
                source = s.conv(number, source, 4)
            elif kind == "bn":
                source = s.norm(number, source)
            else:
                operator = {"relu": "relu", "pool": "max_pool2d", "resize": "upsample_nearest2d"}[kind]
                source = s.keep(number, operator, source)
        return source

    left0 = chain("x", "conv0", "bn1", "relu2", "conv3")
    left1 = chain(left0, "pool4", "conv5", "relu6", "conv7", "relu8", "bn9")
    left2 = chain(left1, "pool10", "conv11", "conv12")
    left3 = chain(left2, "pool13", "conv14", "conv15", "resize19")
    up2 = chain(s.joint("add20", "add", left2, left3), "resize24")
    up1 = chain(s.joint("add25", "add", left1, up2), "conv26", "conv27", "bn28", "relu29", "resize33")
    left = chain(s.joint("add34", "add", left0, up1), "relu35", "conv36", "relu37", "bn38")
    right0 = chain("x", "conv39", "bn40", "relu41")
    right1 = chain(right0, "conv42", "conv43", "relu44")
    right2 = chain(right1, "conv45", "relu46", "bn47", "conv48", "conv49")
    right3 = chain(right2, "conv50", "conv51", "conv52", "resize56")
    up2 = chain(s.joint("add57", "add", right2, right3), "resize61")
    up1 = chain(s.joint("add62", "add", right1, up2), "conv63", "conv64", "bn65", "relu66", "resize70")
    right = chain(s.joint("add71", "add", right0, up1), "relu72", "conv73", "relu74", "bn75")
    return s.done(s.head(s.joint("add76", "add", left, right)))
