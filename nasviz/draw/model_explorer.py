"""Export to Model Explorer: the graph of a network, and node data for colouring.

Model Explorer reads a graph from a JSON file with a collection of graphs, and node data from files with one
value per node, by graph and node. The archive holds one graph and several such files. It is read back, and
every key of the data must be a node of the graph.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from nasviz.draw.captions import num_parameters
from nasviz.draw.labels import clean, plain_shape
from nasviz.draw.palette import STATES, VIRIDIS
from nasviz.errors import ExportError
from nasviz.graph import ConstructionPlan, SearchSpace, TraceGraph, Vertex

__all__ = ["CODE", "graph_document", "model_explorer_archive", "node_data"]

GRAPH = "graph.json"
CODE = """import model_explorer  # pip install ai-edge-model-explorer

config = model_explorer.config().add_model_from_path("graph.json")
for name in ("fate", "parameters", "macs"):
    config.add_node_data_from_path(f"{name}.json")
model_explorer.visualize_from_config(config)
"""
_COLOURS = {"selected": "erased", "orphaned": "erased", "gate": "erased", "dead end": "dead-end"}
"""State in the palette for each reason why a vertex is erased."""


def model_explorer_archive(
    space: SearchSpace, plan: ConstructionPlan, *, scores: Mapping[int, float] | None = None
) -> bytes:
    """Return a zip archive for Model Explorer with the full network and the fate of each operator.

    Args:
        space: Search space of the full network.
        plan: Construction plan of the sub-network.
        scores: Saliency of each structure at selection.

    Raises:
        ExportError: The archive is inconsistent when read back.
    """
    trace = space.trace
    costs = {"parameters": {v.id: float(num_parameters(trace, (v.id,))) for v in trace}}
    costs["macs"] = {v.id: float(v.macs) for v in trace}
    if scores:
        costs["saliency"] = {v: s for i, s in scores.items() for v in space.structure(i).vertices}
    documents = {GRAPH: graph_document(trace), "fate.json": _fates(trace, plan)}
    documents |= {f"{name}.json": node_data(trace, values) for name, values in costs.items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, document in documents.items():
            # A fixed date makes the archive reproducible.
            archive.writestr(
                zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), json.dumps(document, allow_nan=False)
            )
    _read_back(content)
    return content.getvalue()


def graph_document(trace: TraceGraph) -> dict[str, Any]:
    """Return a collection of one graph: every operator with shapes, module and inputs."""
    # Model Explorer hangs on nodes without a namespace.
    virtual = [
        {"id": i.id, "label": "input", "namespace": "", "attrs": [_pair("shape", plain_shape(i.shape))]}
        for i in trace.inputs
    ]
    leaving = [
        {"id": o.id, "label": "output", "namespace": "", "incomingEdges": [_edge(o.source, 0)]}
        for o in trace.outputs
    ]
    nodes = [*virtual, *(_node(trace, vertex) for vertex in trace), *leaving]
    return {"label": clean(trace.name), "graphs": [{"id": _graph_id(trace), "nodes": nodes}]}


def node_data(trace: TraceGraph, values: Mapping[str, float]) -> dict[str, Any]:
    """Return node data with a number per operator, coloured by viridis."""
    stops = [
        {"stop": number / (len(VIRIDIS) - 1), "bgColor": colour} for number, colour in enumerate(VIRIDIS)
    ]
    results = {vertex: {"value": value} for vertex, value in values.items()}
    return {_graph_id(trace): {"results": results, "gradient": stops}}


def _fates(trace: TraceGraph, plan: ConstructionPlan) -> dict[str, Any]:
    """Return node data with the fate of every operator, as a word and a colour."""
    sliced = {piece.vertex for piece in plan.slices}
    results: dict[str, Any] = {}
    for vertex in trace:
        if vertex.id in plan.erased:
            why = plan.erased[vertex.id]
            results[vertex.id] = {"value": why, "bgColor": STATES[_COLOURS[why]].light}
        elif vertex.id in plan.bypassed:
            results[vertex.id] = {"value": "bypassed", "bgColor": STATES["bypassed"].light}
        elif vertex.id in sliced:
            results[vertex.id] = {"value": "sliced", "bgColor": STATES["sliced"].light}
        else:
            results[vertex.id] = {"value": "stays", "bgColor": "#ffffff"}
    return {_graph_id(trace): {"results": results, "showExpandedSummaryOnGroupNode": True}}


def _node(trace: TraceGraph, vertex: Vertex) -> dict[str, Any]:
    facts = {
        "name": vertex.name,
        "class": vertex.type_name,
        "parameters": f"{num_parameters(trace, (vertex.id,)):,}",
        "MACs": f"{vertex.macs:,}",
        "source": vertex.source,
    }
    return {
        "id": vertex.id,
        "label": clean(vertex.operator),
        "namespace": _namespace(vertex),
        "attrs": [_pair(key, clean(value)) for key, value in facts.items() if value],
        "incomingEdges": [_edge(source, place) for place, source in enumerate(vertex.inputs)],
        "outputsMetadata": [{"id": "0", "attrs": [_pair("shape", plain_shape(vertex.shape))]}],
    }


def _namespace(vertex: Vertex) -> str:
    """Return the modules around a vertex from the outside in, in Model Explorer's form a/b/c."""
    parts, before = [], ""
    for path in (*vertex.scope, *([vertex.module] if vertex.module else [])):
        inner = path.removeprefix(f"{before}.") if before else path
        parts.append(clean(inner).replace("/", "|"))
        before = path
    return "/".join(parts)


def _edge(source: str, place: int) -> dict[str, str]:
    return {"sourceNodeId": source, "sourceNodeOutputId": "0", "targetNodeInputId": str(place)}


def _pair(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _graph_id(trace: TraceGraph) -> str:
    return clean(trace.name) or "network"


def _read_back(content: io.BytesIO) -> None:
    """Check that every edge starts at a node and every value belongs to one."""
    with zipfile.ZipFile(content) as archive:
        documents = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    (graph,) = documents.pop(GRAPH)["graphs"]
    nodes = {node["id"] for node in graph["nodes"]}
    named = {edge["sourceNodeId"] for node in graph["nodes"] for edge in node.get("incomingEdges", ())}
    for document in documents.values():
        named |= document[graph["id"]]["results"].keys()
    if lost := sorted(named - nodes):
        raise ExportError(
            f"the archive for Model Explorer refers to {lost[:3]}, which are not nodes of its graph"
        )
