"""`nasviz analyze`: what can be removed from a network, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.cli.options import (
    ANY_NETWORK,
    AsJson,
    Download,
    NetworkName,
    NetworkOptions,
    source_of,
    with_settings,
)
from nasviz.cli.text import answer, plain, progress, table
from nasviz.draw import dependency_view, partition_view, segment_view, trace_view
from nasviz.draw.labels import axes_text
from nasviz.draw.pictures import checked_svg
from nasviz.errors import LayoutError
from nasviz.graph import Gate, RemovalStructure, SearchSpace, count_switchable, search_space
from nasviz.guarded_files import replace_file
from nasviz.settings import RunSettings

if TYPE_CHECKING:
    from nasviz.trace import TracedNetwork

__all__ = ["SPACE", "analysis_lines", "analyze", "analyze_command", "viewed"]

SPACE = {name: RunSettings.fields()[name] for name in ("protect", "collapse", "frozen")}
"""Settings of runs that decide what the search space holds."""
_MOST_ROWS = 60
_MOST_NAMES = 6


@with_settings(SPACE)
def analyze_command(
    network: NetworkName,
    /,
    *,
    options: NetworkOptions = ANY_NETWORK,
    latency: Annotated[
        int | None,
        Parameter(
            metavar="BATCH",
            show_default=False,
            help="Time every operator for batches of this size, and show what each structure would save.",
        ),
    ] = None,
    switchable: Annotated[
        bool,
        Parameter(show_default=False, help="Count pooling and identity edges too, as if each had a switch."),
    ] = False,
    drawings: Annotated[
        Path | None,
        Parameter(
            metavar="DIR",
            show_default=False,
            help="Draw trace graph, segment graph, dependency graph and variable partition, as DOT and SVG.",
        ),
    ] = None,
    download: Download = False,
    json: AsJson = False,
    **space: Any,
) -> int:
    """Show what can be removed from a network, and why the rest cannot.

    NETWORK may be an ONNX file too, for viewing.
    """
    if network.endswith(".onnx"):
        protect, collapse = (tuple(space.get(name, ())) for name in ("protect", "collapse"))
        request = jobs.ViewOnnx(path=Path(network), protect=protect, collapse=collapse)
        found = jobs.submit(request).require()
        document = viewed(plain(network), found, switchable=switchable)
        drawn = found.space
    else:
        source = source_of(network, options)
        if download:
            from nasviz.cli.working import download_weights

            download_weights(source, progress(json=json))
        document, drawn = _analyzed(source, latency, switchable=switchable, **space)
    if drawings is not None:
        _draw(drawn, drawings)
    answer(json=json, document=document, lines=analysis_lines(document))
    return 0


def analyze(
    source: NetworkSource, latency: int | None = None, *, switchable: bool = False, **space: Any
) -> dict[str, Any]:
    """Build and trace a network, generate its search space, and return the findings as plain data.

    Runs the user's code where `source` names a callable.

    Args:
        source: The network.
        latency: Batch size for which every operator is timed, on the first CUDA device or the processor.
        switchable: Whether K is also given as it would be with a switch on each operation without weights.
        **space: Options of `nasviz.search_space`.

    Raises:
        NasvizError: The network cannot be built or traced, or a name matches nothing.
    """
    return _analyzed(source, latency, switchable=switchable, **space)[0]


def _analyzed(
    source: NetworkSource, latency: int | None = None, *, switchable: bool = False, **space: Any
) -> tuple[dict[str, Any], SearchSpace]:
    """Return the findings of `analyze` with the search space."""
    from nasviz import models
    from nasviz.trace import trace_quietly

    model, example_inputs = models.build(source, seed=0)
    network = trace_quietly(model, example_inputs)
    facts = {
        "network": source.to_json(),
        "settings": source.entry.complete(dict(source.settings)) if source.entry else dict(source.settings),
        "published": [asdict(figure) for figure in source.form.printed] if source.form else [],
        "rung": network.parity.strategy,
        "parity": dict(network.parity.max_relative_error),
        "warnings": list(network.parity.warnings),
        "changed_training": list(network.parity.changed_training),
        "free_axes": {name: list(axes) for name, axes in network.parity.free_axes.items()},
        "fixed_axes": {
            name: {str(axis): reason for axis, reason in axes.items()}
            for name, axes in network.parity.fixed_axes.items()
        },
    }
    found = search_space(network, **space)
    document = facts | _document(found, switchable=switchable)
    return (document if latency is None else document | _timed(network, found, document, latency)), found


def _draw(space: SearchSpace, folder: Path) -> None:
    """Write each graph of a search space as DOT and SVG.

    Raises:
        LayoutError: A layout failed; the DOT sources are written.
    """
    views = {
        "trace-graph": trace_view(space.trace, space.trace.modules, space=space),
        "segment-graph": segment_view(space),
        "dependency-graph": dependency_view(space),
        "variable-partition": partition_view(space),
    }
    for name, view in views.items():
        replace_file(folder / f"{name}.dot", view.dot)
    for name, view in views.items():
        if not view.svg:
            raise LayoutError(view.note)
        replace_file(folder / f"{name}.svg", checked_svg(view))


def _timed(
    network: TracedNetwork, space: SearchSpace, document: Mapping[str, Any], batch_size: int
) -> dict[str, Any]:
    """Return the latency of the network, and its structures with the milliseconds that each would save."""
    from nasviz.subnet import measure_vertices
    from nasviz.subnet.parity import example_inputs
    from nasviz.train.session import choose_device

    network.to(choose_device("auto"))
    table = measure_vertices(network, example_inputs(network, network.trace_graph.inputs, batch=batch_size))
    structures = [
        s | {"saved_ms": table.whole_ms - table.after(space.plan((s["id"],))) if s["reason"] is None else 0.0}
        for s in document["structures"]
    ]
    facts = {"whole_ms": table.whole_ms, "device": table.device, "batch_size": table.batch_size}
    return {"latency": facts, "structures": structures}


def viewed(name: str, result: jobs.Analysis, *, switchable: bool = False) -> dict[str, Any]:
    """Return the analysis of an ONNX file as plain data."""
    facts = {"rung": result.rung, "parity": dict(result.parity), "warnings": list(result.warnings)}
    return {"network": {"name": name}} | facts | _document(result.space, switchable=switchable)


def _document(space: SearchSpace, *, switchable: bool) -> dict[str, Any]:
    reasons = {vertex.name: space.why_not(vertex.id) for vertex in space.trace}
    return {
        "inputs": [list(item.shape) for item in space.trace.inputs],
        "parameters": space.trace.num_parameters,
        "macs": space.trace.macs,
        "vertices": len(space.trace),
        "edges": space.trace.num_edges,
        "segments": len(space.segments),
        "removable": len(space.removable),
        "max_sparsity": space.max_sparsity,
        "collapsed": {path: space.trace.modules.get(path, "") for path in space.segments.collapsed},
        "structures": [_structure(space, structure) for structure in space.structures],
        "gates": [_gate(space, gate) for gate in space.gates],
        "switchable": [operation.name for operation in space.switchable],
        "with_switches": _counts(count_switchable(space)) if switchable else None,
        "reasons": {name: reason for name, reason in reasons.items() if reason},
        "partition": space.partition.to_json(),
    }


def _counts(space: SearchSpace) -> dict[str, int]:
    return {"removable": len(space.removable), "max_sparsity": space.max_sparsity}


def _structure(space: SearchSpace, structure: RemovalStructure) -> dict[str, Any]:
    """Return a structure, with what removing it and everything that depends on it would save."""
    document = {
        "id": structure.id,
        "name": structure.name,
        "parameters": structure.num_parameters,
        "saved_parameters": 0,
        "saved_macs": 0,
        "reason": structure.reason,
    }
    if not space.is_valid((structure.id,)):
        document["reason"] = structure.reason or "without it something required is cut off"
        return document
    plan = space.plan((structure.id,))
    document["saved_parameters"] = plan.params_before - plan.params_after
    document["saved_macs"] = plan.macs_before - plan.macs_after
    return document


def _gate(space: SearchSpace, gate: Gate) -> dict[str, Any]:
    """Return a gate, with what a number in its place would save."""
    plan = space.plan((), gates=(gate.id,))
    return {
        "id": gate.id,
        "name": gate.name,
        "value": gate.value,
        "product": space.trace[gate.product].name,
        "parameters": gate.num_parameters,
        "saved_parameters": plan.params_before - plan.params_after,
        "saved_macs": plan.macs_before - plan.macs_after,
    }


def analysis_lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield the findings as lines of text."""
    shapes = "; ".join("x".join(map(str, shape[1:])) for shape in document["inputs"])
    parity = document["parity"]
    agreement = f"; largest relative difference {max(parity.values()):.2g}" if parity else ""
    yield document["network"]["name"]
    if settings := document.get("settings"):
        yield f"  settings     {', '.join(f'{name}={value}' for name, value in settings.items())}"
    yield f"  input        {shapes}"
    yield f"  parameters   {document['parameters']:,}"
    yield f"  MACs         {document['macs']:,} per example"
    if latency := document.get("latency"):
        where = f"a batch of {latency['batch_size']} on {latency['device']}"
        yield f"  latency      {latency['whole_ms']:.3g} ms for {where}"
    yield f"  trace graph  {document['vertices']} vertices, {document['edges']} edges"
    yield f"  segments     {document['segments']}, of which {document['removable']} can be removed"
    yield f"  K_max        {document['max_sparsity']}, the most that can go together"
    if counted := document["with_switches"]:
        both = f"{counted['removable']} structures, at most {counted['max_sparsity']} together"
        yield f"  switches     with one on each operation without variables: {both}"
    yield f"  variables    {_variables_line(document)}"
    yield f"  traced by    {document['rung']}{agreement}"
    if "free_axes" in document:
        yield f"  free axes    {axes_text(document['free_axes'])}; the others are fixed"
        for name, axes in document.get("fixed_axes", {}).items():
            yield from (f"    fixed      axis {axis} of {name}: {reason}" for axis, reason in axes.items())
    yield from _published_lines(document.get("published", ()))
    changes = document.get("changed_training", ())
    yield from (f"  warning      {text}" for text in document["warnings"] if text not in changes)
    yield from (f"  training     differs: {text}" for text in changes)
    if changes:
        yield "               to train it all the same: nasviz train --allow-changed-training"
    yield from _collapsed_lines(document["collapsed"])
    yield from _removable_lines([s for s in document["structures"] if s["reason"] is None])
    yield from _fixed_lines([s for s in document["structures"] if s["reason"] is not None])
    yield from _gate_lines(document["gates"])
    yield from _switchable_lines(document["switchable"])
    yield from _reason_lines(document["reasons"])


def _variables_line(document: Mapping[str, Any]) -> str:
    sizes = {s["id"]: s["parameters"] for s in document["structures"] if s["reason"] is None}
    inside = sum(sizes.values())
    rest = f"{document['parameters'] - inside:,} in its complement"
    return f"G_s: {inside:,} parameters in {len(sizes)} groups; {rest}"


def _collapsed_lines(collapsed: dict[str, str]) -> Iterator[str]:
    if collapsed:
        yield f"  collapsed    {len(collapsed)} modules are one vertex each: {_few(list(collapsed))}"


def _published_lines(figures: Iterable[Mapping[str, str]]) -> Iterator[str]:
    for figure in figures:
        note = f"; {figure['note'].rstrip('.')}" if figure["note"] else ""
        yield f"  published    {figure['what']} {figure['text']} ({figure['source']}{note})"


def _removable_lines(structures: list[dict[str, Any]]) -> Iterator[str]:
    if not structures:
        return
    yield ""
    header = ["id", "can go", "own parameters", "saves parameters", "saves MACs"]
    rows = [
        [s["id"], s["name"], *(f"{s[key]:,}" for key in ("parameters", "saved_parameters", "saved_macs"))]
        for s in structures[:_MOST_ROWS]
    ]
    if "saved_ms" in structures[0]:
        header.append("saves ms")
        rows = [[*row, f"{s['saved_ms']:.3g}"] for row, s in zip(rows, structures, strict=False)]
    yield from table(header, rows)
    yield from _rest(len(structures))


def _fixed_lines(structures: list[dict[str, Any]]) -> Iterator[str]:
    if not structures:
        return
    yield ""
    rows = [(s["id"], s["name"], s["reason"]) for s in structures[:_MOST_ROWS]]
    yield from table(("id", "cannot go", "because"), rows)
    yield from _rest(len(structures))


def _gate_lines(gates: list[dict[str, Any]]) -> Iterator[str]:
    if not gates:
        return
    yield ""
    yield "gates: each may be replaced by its value at zero; they are no structures and do not count in K"
    header = ("id", "gate", "value at zero", "scales", "saves parameters", "saves MACs")
    rows = [
        (
            gate["id"],
            gate["name"],
            f"{gate['value']:g}",
            gate["product"],
            *(f"{gate[key]:,}" for key in ("saved_parameters", "saved_macs")),
        )
        for gate in gates[:_MOST_ROWS]
    ]
    yield from table(header, rows)
    yield from _rest(len(gates))


def _switchable_lines(names: list[str]) -> Iterator[str]:
    if not names:
        return
    yield ""
    yield "operations without variables: only a switch could make them removable; they do not count in K"
    yield f"  {_few(names)}"


def _reason_lines(reasons: dict[str, str]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    if not by_reason:
        return
    yield ""
    yield "vertices that stay, and why"
    for reason, names in list(by_reason.items())[:_MOST_ROWS]:
        yield f"  {reason}: {_few(names)}"
    yield from _rest(len(by_reason))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _rest(count: int) -> Iterator[str]:
    if count > _MOST_ROWS:
        yield f"  ... and {count - _MOST_ROWS} more; --json lists all"
