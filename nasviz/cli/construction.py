"""`nasviz construct`: structures and gates cut out of an untrained network by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from nasviz.catalog import NetworkSource
from nasviz.cli.analysis import SPACE
from nasviz.cli.options import (
    ANY_NETWORK,
    AsJson,
    Download,
    NetworkName,
    NetworkOptions,
    source_of,
    with_settings,
)
from nasviz.cli.text import answer, progress
from nasviz.errors import ExportError, InvalidSettingError

__all__ = ["construct", "construct_command", "constructed_lines"]


@with_settings(SPACE)
def construct_command(
    network: NetworkName,
    /,
    *,
    options: NetworkOptions = ANY_NETWORK,
    erase: Annotated[
        tuple[int, ...],
        Parameter(
            metavar="ID",
            show_default=False,
            help="Structure to erase, as `nasviz analyze` numbers it. Repeatable.",
        ),
    ] = (),
    gate: Annotated[
        tuple[int, ...],
        Parameter(metavar="ID", show_default=False, help="Gate to replace by its value at zero. Repeatable."),
    ] = (),
    folder: Annotated[Path, Parameter(metavar="DIR", help="New folder of the result.")],
    download: Download = False,
    json: AsJson = False,
    **space: Any,
) -> int:
    """Cut structures out of a network without training."""
    source = source_of(network, options)
    if download:
        from nasviz.cli.working import download_weights

        download_weights(source, progress(json=json))
    result = construct(source, folder, erase, gate, **space)
    answer(json=json, document=result, lines=constructed_lines(result))
    return 0


def construct(
    source: NetworkSource, folder: Path, erased: Iterable[int], gates: Iterable[int] = (), **space: Any
) -> dict[str, Any]:
    """Cut a network, compare the two, write the smaller one to a new folder, and report as plain data.

    Runs the user's code where `source` names a callable.

    Args:
        source: The network.
        folder: New or empty.
        erased: Ids of structures.
        gates: Ids of gates.
        **space: Options of `nasviz.search_space`.

    Raises:
        InvalidSettingError: Nothing is to be cut.
        ExportError: `folder` holds something.
        NasvizError: The network cannot be built or traced, or these cannot be removed together.
    """
    from nasviz import models, subnet
    from nasviz.graph import search_space
    from nasviz.trace import trace_quietly

    erased, gates = tuple(erased), tuple(gates)
    if not erased and not gates:
        raise InvalidSettingError(
            "nothing is to be cut: name at least one --erase ID or --gate ID; `nasviz analyze` lists them"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is there already and not empty; name a new folder")
    model, example_inputs = models.build(source, seed=0)
    network = trace_quietly(model, example_inputs)
    found = search_space(network, **space)
    sub = subnet.construct(network, found, erased, gates=gates, thorough=True)
    subnet.save(sub, folder)
    names = {s.id: s.name for s in found.structures}
    return {
        "folder": str(folder),
        "names": {
            "selected": [names[i] for i in sub.plan.selected],
            "orphaned": [names[i] for i in sub.plan.orphaned],
            "gates": [found.gate(i).name for i in sub.plan.gates],
        },
        "report": sub.report.to_json(),
    }


def constructed_lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield the result as lines of text."""
    report, names = result["report"], result["names"]
    orphaned = f"; orphaned by it: {', '.join(names['orphaned'])}" if names["orphaned"] else ""
    yield f"  erased      {', '.join(names['selected']) or 'nothing'}{orphaned}"
    if names["gates"]:
        numbers = ", ".join(f"{value:g}" for value in dict.fromkeys(report["scaled"].values()))
        stand = f" by {numbers}" if numbers else ", with what they scaled gone too"
        yield f"  gates       {', '.join(names['gates'])}, replaced{stand}"
    for title, key in (("parameters", "params"), ("MACs", "macs")):
        before, after = report[f"{key}_before"], report[f"{key}_after"]
        yield f"  {title:<10}  {before:,} -> {after:,} ({after / max(1, before):.1%})"
    if report["folded"]:
        yield f"  folded      constants into the bias of {len(report['folded'])} operators"
    if report["materialised"]:
        places = len(report["materialised"])
        yield f"  filled      zeros are written back before {places} vertices, for want of a slicing rule"
    yield f"  exactness   largest relative difference {report['max_relative_error']:.2g}"
    yield f"  effect      what went, not at zero, changes the outputs by {report['effect']:.2g} of their size"
    yield f"  folder      {result['folder']}; nasviz.load reads it"
