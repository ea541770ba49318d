"""What Model Explorer is given: one graph, and node data whose every key is a node of it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from nasviz.draw import model_explorer
from nasviz.draw.model_explorer import model_explorer_archive
from nasviz.errors import ExportError
from nasviz.graph import search_space
from tests.draw.networks import staged
from tests.graph.networks import demonet

SPACE = search_space(demonet())
PLAN = SPACE.plan([1, 2, 10])


def documents(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_every_operator_and_every_edge_is_in_the_graph() -> None:
    collection = documents(model_explorer_archive(SPACE, PLAN))["graph.json"]
    (graph,) = collection["graphs"]
    assert collection.keys() == {"label", "graphs"}  # a list of collections is refused by Model Explorer
    assert all({"id", "label", "namespace"} <= node.keys() for node in graph["nodes"])  # without, it waits
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert nodes.keys() >= {v.id for v in SPACE.trace}
    edges = [
        (edge["sourceNodeId"], node["id"])
        for node in graph["nodes"]
        for edge in node.get("incomingEdges", ())
    ]
    expected = [(source, v.id) for v in SPACE.trace for source in v.inputs]
    assert sorted(edges) == sorted([*expected, *((o.source, o.id) for o in SPACE.trace.outputs)])


def test_node_data_tell_what_becomes_of_every_operator_and_what_it_costs() -> None:
    scores = {s.id: float(s.id) for s in SPACE.removable}
    found = documents(model_explorer_archive(SPACE, PLAN, scores=scores))
    assert list(found) == ["graph.json", "fate.json", "parameters.json", "macs.json", "saliency.json"]
    (graph,) = found["graph.json"]["graphs"]
    fates = found["fate.json"][graph["id"]]["results"]
    assert fates.keys() == {v.id for v in SPACE.trace}
    assert {v for v in fates if fates[v]["value"] == "selected"} == {
        v for v, why in PLAN.erased.items() if why == "selected"
    }
    assert all(fates[piece.vertex]["value"] == "sliced" for piece in PLAN.slices)
    macs = found["macs.json"][graph["id"]]["results"]
    assert sum(result["value"] for result in macs.values()) == SPACE.trace.macs
    stops = [item["stop"] for item in found["macs.json"][graph["id"]]["gradient"]]
    assert (stops[0], stops[-1]) == (0, 1)


def test_modules_nest_as_namespaces() -> None:
    space = search_space(staged())
    collection = documents(model_explorer_archive(space, space.plan([])))["graph.json"]
    names = {node["id"]: node["namespace"] for node in collection["graphs"][0]["nodes"]}
    assert any(name.startswith("stages/") or name.startswith("stages.") for name in names.values())


def test_equal_networks_make_equal_archives_and_a_key_without_a_node_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model_explorer_archive(SPACE, PLAN) == model_explorer_archive(SPACE, PLAN)
    whole = model_explorer.graph_document

    def lossy(trace: Any) -> dict[str, Any]:
        document = whole(trace)
        del document["graphs"][0]["nodes"][3]
        return document

    monkeypatch.setattr(model_explorer, "graph_document", lossy)
    with pytest.raises(ExportError, match="not nodes of its graph"):
        model_explorer_archive(SPACE, PLAN)
