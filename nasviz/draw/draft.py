"""Builder of drawings, which assigns opaque ids and counts the tensors of each edge."""

from __future__ import annotations

from nasviz.draw.drawing import Cell, Drawing, DrawnCluster, DrawnEdge, DrawnVertex, Form
from nasviz.draw.labels import plain_shape, shorten
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["Draft"]


class Draft:
    """Builder that collects vertices, frames and edges under names chosen by the caller.

    Examples:
        >>> draft = Draft()
        >>> (
        ...     draft.add("a", "operator", "stem", "box", ("conv",)),
        ...     draft.add("b", "operator", "norm", "box", ("bn",)),
        ... )
        ('n0', 'n1')
        >>> draft.link("a", "b")
        >>> draft.finish("two").edges
        (DrawnEdge(id='e0', source='n0', target='n1', multiplicity=1, role=''),)
    """

    def __init__(self) -> None:
        self._vertices: dict[object, DrawnVertex] = {}
        self._clusters: dict[object, DrawnCluster] = {}
        self._edges: dict[tuple[object, object], dict[object, int]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._vertices

    def add(
        self,
        name: object,
        kind: str,
        role: str,
        form: Form,
        lines: tuple[str, ...],
        *,
        key: str | None = None,
        members: tuple[str, ...] = (),
        cluster: str | None = None,
        module: str = "",
        rows: tuple[tuple[Cell, ...], ...] = (),
    ) -> str:
        """Add a vertex and return its opaque id."""
        number = f"n{len(self._vertices)}"
        key = str(name) if key is None else key
        self._vertices[name] = DrawnVertex(
            number, key, kind, role, form, lines, members, cluster, module, rows
        )
        return number

    def frame(
        self,
        name: object,
        title: str,
        parent: str | None,
        role: str = "module",
        module: str = "",
        key: str = "",
    ) -> str:
        """Return the opaque id of the frame with this name, adding it if needed."""
        if name not in self._clusters:
            number = f"c{len(self._clusters)}"
            self._clusters[name] = DrawnCluster(number, key or str(name), title, parent, role, module)
        return self._clusters[name].id

    def link(self, source: object, target: object, tensor: object = None, times: int = 1) -> None:
        """Add an edge, or one more tensor to it; edges within one vertex are ignored.

        A tensor counts once even if several operators inside the target read it, and twice if one operator
        reads it twice.
        """
        if source != target:
            tensors = self._edges.setdefault((source, target), {})
            tensors[tensor] = max(times, tensors.get(tensor, 0))

    def add_inputs(self, trace: TraceGraph) -> None:
        """Add the virtual inputs, under the names `("input", id)`."""
        for i in trace.inputs:
            word = "input" if len(trace.inputs) == 1 else f"input {shorten(i.id)}"
            self.add(("input", i.id), "input", "port", "pill", (word, plain_shape(i.shape)), key=i.id)

    def add_outputs(self, trace: TraceGraph) -> None:
        """Add the virtual outputs, under the names `("output", id)`."""
        for o in trace.outputs:
            word = "output" if len(trace.outputs) == 1 else f"output {shorten(o.id)}"
            lines = (word, plain_shape(trace.shapes[o.source]))
            self.add(("output", o.id), "output", "port", "pill", lines, key=o.id)

    def finish(self, name: str) -> Drawing:
        """Return the drawing, with edges in the order in which they were added."""
        edges = tuple(
            DrawnEdge(f"e{n}", self._vertices[source].id, self._vertices[target].id, sum(tensors.values()))
            for n, ((source, target), tensors) in enumerate(self._edges.items())
        )
        return Drawing(name, tuple(self._vertices.values()), edges, tuple(self._clusters.values()))
