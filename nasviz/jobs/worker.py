"""Carries out tasks: the one file of the server side that imports torch.

Run as `python -m nasviz.jobs.worker`. The channel for events is made first, then what tracing needs is
loaded. A warm worker also traces one small network, so that the first request finds everything loaded. Data,
scores and training are loaded by the tasks that need them.
"""

from __future__ import annotations

import runpy
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasviz.jobs import tasks
from nasviz.jobs.cache import key_of_network
from nasviz.jobs.process import WARM
from nasviz.jobs.serving import Channel, Report, perform, serve, task

if __name__ == "__main__":
    CHANNEL = Channel()

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

import nasviz.models
import nasviz.subnet
import nasviz.trace
from nasviz.catalog import FACTS, DataFacts, NetworkSource
from nasviz.errors import ExportError
from nasviz.extensions import load_extensions
from nasviz.graph import SearchSpace, search_space
from nasviz.guarded_files import read_regular, scratch_folder
from nasviz.runs import Run
from nasviz.subnet.modules import imports_of
from nasviz.subnet.parity import example_inputs, recorded_inputs
from nasviz.subnet.source import source_of
from nasviz.switches import settle_switches
from nasviz.trace.parity import relative_error

Writer = Callable[[fx.GraphModule, tasks.Export], tasks.ExportedFile]
MAX_CACHED_PARAMETERS = 100_000_000
"""Parameters up to which the network that was traced last stays in memory."""
_TRACED: dict[str, nasviz.trace.TracedNetwork] = {}
SOURCE_TOLERANCE = 1e-4
"""Relative difference up to which the exported Python source counts as equal."""

__all__ = [
    "analyze",
    "construct",
    "download",
    "download_weights",
    "export",
    "lesson",
    "perform",
    "preview",
    "reopen",
    "time_subnet",
    "time_vertices",
    "timm_names",
    "view_onnx",
]


@task
def analyze(request: tasks.Analyze, report: Report) -> tasks.Analysis:
    """Build a network, trace it and generate its search space."""
    start = time.perf_counter()
    if request.source.graph is not None:
        return _stored_graph(Path(request.source.graph), start)
    network, space = _cached_trace(request.source, None, request, report)
    return tasks.Analysis(
        space=space,
        parity=network.parity.max_relative_error,
        rung=network.parity.strategy,
        warnings=tuple(network.parity.warnings),
        changed_training=tuple(network.parity.changed_training),
        free_axes={name: tuple(axes) for name, axes in network.parity.free_axes.items()},
        fixed_axes=network.parity.fixed_axes,
        seconds=time.perf_counter() - start,
    )


def _stored_graph(folder: Path, start: float) -> tasks.Analysis:
    """Return the graph of a watched run, without constraints."""
    from nasviz.draw.run_space import read_space

    stored = read_space(folder / "space.json")
    space = search_space(stored.trace, frozen=stored.frozen, heads=stored.heads)
    _compute_all(space)
    rung = "a training loop of its own, whose graph its run has stored"
    return tasks.Analysis(space=space, rung=rung, seconds=time.perf_counter() - start)


def _compute_all(space: SearchSpace) -> None:
    """Compute what the server will ask for.

    What takes too much time or memory for a hostile graph ends this process, not the server.
    """
    _ = space.structures, space.gates, space.switchable, space.max_sparsity, space.channels.structures


@task
def preview(request: tasks.Preview, report: Report) -> tasks.Scores:
    """Score every removal structure of the untrained network on one batch of real data."""
    import nasviz.data
    import nasviz.saliency

    start = time.perf_counter()
    opened = nasviz.data.open_data(
        request.data,
        folder=request.data_folder,
        trust=request.trust,
        image_shape=request.source.input_shape,
        seed=request.seed,
    )
    network, space = _cached_trace(request.source, opened.facts, request, report)
    report(0.7, "scoring every structure")
    # The first batch that training would see.
    split = opened.split(network.trace_graph.inputs[0].shape[1:])
    order = nasviz.data.epoch_order(len(split.train), request.seed, 0)
    batch = split.train.batch(order[: request.batch_size])
    generator = torch.Generator().manual_seed(request.seed)
    scores = nasviz.saliency.score(request.saliency, network, space, [batch], generator)
    return tasks.Scores(scores=dict(scores), seconds=time.perf_counter() - start)


@task
def construct(request: tasks.Construct, report: Report) -> tasks.Constructed:
    """Zero structures, slice them out, compare both networks, write the smaller one to a folder."""
    if request.run is not None:
        return _construct_trained(request, request.run, report)
    assert request.source is not None
    assert request.folder is not None
    network, space = _trace(request.source, None, request, report)
    sub = _cut(network, space, request, report)
    return _save(sub, request.folder, sub.report.to_json())


def _construct_trained(request: tasks.Construct, folder: Path, report: Report) -> tasks.Constructed:
    """Construct from the latest weights of a run, with the accuracy of both networks."""
    from nasviz.train.checkpoint import restore
    from nasviz.train.evaluation import evaluate
    from nasviz.train.session import open_session

    report(0.1, "loading the trained network")
    session = open_session(Run(folder).settings.changed(device="cpu"))
    restore(session, folder)
    network, space = session.traced, session.space  # since a change-over the full network as it was then
    if any(switch.index is not None for switch in space.switches):
        network, space = settle_switches(network, space)  # so that each operation can be removed by itself
    sub = _cut(network, space, request, report)
    report(0.8, "measuring accuracy on the validation images")
    facts = sub.report.to_json()
    options: dict[str, Any] = {"loss": session.loss, "meters": session.meters}
    for name, module in (("full", session.traced), ("subnet", sub.module)):
        measured = evaluate(module, session.split.validation, device=torch.device("cpu"), **options)
        facts |= {f"accuracy_{name}": measured.accuracy}
    facts["metrics"] = [meter.metric.label for meter in session.meters]
    return _save(sub, request.folder or folder / "by-hand", facts)


def _cut(
    network: nasviz.trace.TracedNetwork, space: SearchSpace, request: tasks.Construct, report: Report
) -> nasviz.subnet.Subnetwork:
    report(0.6, "cutting, and comparing both networks")
    erased, gates = sorted(request.erased), sorted(request.gates)
    return nasviz.subnet.construct(network, space, erased, gates=gates, thorough=True)


def _save(sub: nasviz.subnet.Subnetwork, folder: Path, facts: dict[str, Any]) -> tasks.Constructed:
    nasviz.subnet.save(sub, folder)
    facts["imports"] = list(imports_of(sub.module))
    return tasks.Constructed(report=facts, folder=folder)


@task
def reopen(request: tasks.Reopen, report: Report) -> tasks.Reopened:
    """Read a sub-network back from its folder, and trace it."""
    report(0.2, "reading and tracing the sub-network")
    network = nasviz.subnet.load(request.folder)
    traced = nasviz.trace.trace_quietly(network, _random_inputs(network, request.inputs, 2))
    return tasks.Reopened(space=search_space(traced))


@task
def lesson(request: tasks.Lesson, report: Report) -> tasks.Computed:
    """Compute what a page of Learn shows."""
    from nasviz.train.lessons import LESSONS

    return tasks.Computed(values=LESSONS[request.name](**request.numbers))


@task
def export(request: tasks.Export, report: Report) -> tasks.Exported:
    """Write a sub-network in formats that other programs read, each checked by reading it back."""
    report(0.05, "reading the sub-network")
    network = nasviz.subnet.load(request.folder).eval()
    full = _compare_with_full(request, network, report)
    writers: Mapping[tasks.ExportFormat, Writer] = {
        "onnx": _write_onnx,
        "onnx_plain": partial(_write_onnx, simplify=False),
        "pt2": _write_pt2,
        "source": _write_source,
    }
    files: dict[tasks.ExportFormat, tasks.ExportedFile] = {}
    errors: dict[tasks.ExportFormat, str] = {}
    for number, kind in enumerate(request.formats):
        report(0.1 + 0.9 * number / len(request.formats), f"writing and checking {kind}")
        try:
            files[kind] = writers[kind](network, request)
        except ExportError as error:
            errors[kind] = str(error)
    return tasks.Exported(files=files, errors=errors, full=full)


def _compare_with_full(request: tasks.Export, network: fx.GraphModule, report: Report) -> str:
    """Return how the sub-network compares with the full network that its run has stored, in words."""
    if request.run is None:
        return "not checked against the full network again: it was compared when it was cut"
    from nasviz.train.rechecking import compare_with_full

    report(0.07, "comparing with the full network that the run has stored")
    return str(compare_with_full(Run(request.run), network))


def _write_onnx(network: fx.GraphModule, request: tasks.Export, simplify: bool = True) -> tasks.ExportedFile:
    """Write ONNX with the free axes of the network; the export reads it back and runs it by onnxruntime."""
    exported = nasviz.subnet.export_onnx(
        network,
        request.folder / ("model.onnx" if simplify else "model-plain.onnx"),
        inputs=_random_inputs(network, request.inputs, 2),
        simplify=simplify,
        opset=request.opset,
        dtype=None if request.dtype is None else getattr(torch, request.dtype),
    )
    written = _exported(exported.path, exported.max_relative_error, exported.num_nodes)
    if written.bytes < exported.size_bytes:
        raise ExportError(
            f"the weights take {exported.size_bytes:,} bytes, too many for one file; `nasviz.export_onnx`"
            " and `nasviz export --onnx` write them to a second file"
        )
    return written.model_copy(update={"free_axes": dict(exported.free_axes)})


def _write_pt2(network: fx.GraphModule, request: tasks.Export) -> tasks.ExportedFile:
    """Write the program of torch.export; the export itself reads it back and runs it."""
    images = _random_inputs(network, request.inputs, 2)
    exported = nasviz.subnet.export_pt2(network, request.folder / "model.pt2", inputs=images)
    return _exported(exported.path, exported.max_relative_error)


def _write_source(network: fx.GraphModule, request: tasks.Export) -> tasks.ExportedFile:
    """Write Python source and weights to one archive; unpack it, run it and compare."""
    folder = request.folder
    path, images = folder / "model.zip", _random_inputs(network, request.inputs, 3)
    # Generated from the network that was read as data: no code that lies in the folder is run.
    source = source_of(network)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("subnet/model.py", source)
        for name in ("weights.safetensors", "graph.json", "report.json"):
            archive.writestr(f"subnet/{name}", read_regular(folder / name))
    with scratch_folder("export") as scratch, zipfile.ZipFile(path) as archive:
        archive.extractall(scratch)
        names = runpy.run_path(str(scratch / "subnet" / "model.py"))
        outputs = names["load"]().eval()(*images)
    difference = _relative_difference(network, images, tree_leaves(outputs))
    if not difference <= SOURCE_TOLERANCE:  # written so that NaN is refused too
        raise ExportError(
            f"model.py was written, but what it computes differs from the sub-network by {difference:.1e},"
            f" more than {SOURCE_TOLERANCE:.0e}; it is not offered"
        )
    return _exported(path, difference)


@task
def view_onnx(request: tasks.ViewOnnx, report: Report) -> tasks.Analysis:
    """Read an untrusted ONNX file, and compute everything about its space that the server will ask for."""
    from nasviz.onnx_viewer.view import view_onnx as read_file

    start = time.perf_counter()
    report(0.1, "checking the file")
    view = read_file(request.path, name=request.name or request.path.name)
    report(0.5, "finding removable structures")
    space = search_space(view.trace_graph, request.protect, request.collapse)
    _compute_all(space)
    writer = f", written by {view.producer}" if view.producer else ""
    return tasks.Analysis(
        space=space,
        rung=f"reading an ONNX file (opset {view.opset}{writer}), to look at, not to train or cut",
        warnings=tuple(view.notes),
        seconds=time.perf_counter() - start,
    )


@task
def timm_names(request: tasks.TimmNames, report: Report) -> tasks.Names:
    """List every network that the installed timm can build."""
    from nasviz.models.torchvision_networks import timm_names as known

    report(0.2, "asking timm for its networks")
    return tasks.Names(names=tuple(known()))


@task
def time_vertices(request: tasks.TimeVertices, report: Report) -> tasks.Timing:
    """Time every vertex of a network on the device where it would be used."""
    network = _full_network(request, report)
    report(0.7, "timing every operator")
    inputs = example_inputs(network, network.trace_graph.inputs, batch=request.batch_size)
    return tasks.Timing(table=nasviz.subnet.measure_vertices(network, inputs))


@task
def time_subnet(request: tasks.TimeSubnet, report: Report) -> tasks.Comparison:
    """Time a sub-network and its full network in turn, and the vertices of the latter."""
    network = _full_network(request, report)
    small = nasviz.subnet.load(request.folder).to(next(network.parameters()).device)
    report(0.7, "timing both networks in turn")
    inputs = example_inputs(network, network.trace_graph.inputs, batch=request.batch_size)
    full, cut = (
        tasks.Latency(**latency.to_json())
        for latency in nasviz.subnet.measure_latencies((network, small), inputs)
    )
    report(0.9, "timing every operator")
    return tasks.Comparison(full=full, subnet=cut, table=nasviz.subnet.measure_vertices(network, inputs))


@task
def download(request: tasks.Download, report: Report) -> tasks.Downloaded:
    """Download a published data set into a folder."""
    import nasviz.data

    report(0.0, "asking for the files")
    root = nasviz.data.download(request.data, request.folder, _Throttled(report))
    return tasks.Downloaded(folder=root)


@task
def download_weights(request: tasks.DownloadWeights, report: Report) -> tasks.Downloaded:
    """Download published weights into the caches of torch and Hugging Face."""
    from nasviz.models.published import download as fetch

    return tasks.Downloaded(folder=fetch(request.weights, _Throttled(report)))


def _full_network(
    request: tasks.TimeVertices | tasks.TimeSubnet, report: Report
) -> nasviz.trace.TracedNetwork:
    """Return a full network with random weights, which do not affect its latency, on the requested device."""
    from nasviz.train.session import choose_device

    network, _ = _trace(request.source, FACTS.get(request.data or ""), None, report)
    network.to(choose_device(request.device))
    return network


def _random_inputs(network: fx.GraphModule, inputs: tasks.Shapes, batch: int) -> tuple[Any, ...]:
    """Return random inputs as the network knows them, or of these shapes; the first axis is the batch."""
    if known := recorded_inputs(network):  # with their types: a text is read as whole numbers
        return example_inputs(network, known, batch=batch)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(batch, *shape[1:], generator=generator) for shape in inputs)


@torch.no_grad()
def _relative_difference(
    network: nn.Module, images: tuple[torch.Tensor, ...], outputs: Sequence[Any]
) -> float:
    """Return the largest difference of any output, relative to its largest value."""
    expected = tree_leaves(network(*images))
    return max(relative_error(mine, its) for mine, its in zip(expected, outputs, strict=True))


def _exported(path: Path, difference: float, nodes: int | None = None) -> tasks.ExportedFile:
    return tasks.ExportedFile(
        path=path, bytes=path.stat().st_size, max_relative_error=difference, nodes=nodes
    )


_Constrained = tasks.Analyze | tasks.Preview | tasks.Construct


def _trace(
    source: NetworkSource, facts: DataFacts | None, request: _Constrained | None, report: Report
) -> tuple[nasviz.trace.TracedNetwork, SearchSpace]:
    report(0.05, "building the network")
    model, inputs = nasviz.models.build(source, facts, seed=0)
    report(0.2, "tracing and comparing with your network")
    network = nasviz.trace.trace_quietly(model, inputs)
    report(0.6, "finding removable structures")
    if request is None:
        return network, search_space(network)
    return network, search_space(network, request.protect, request.collapse, frozen=request.frozen)


def _cached_trace(
    source: NetworkSource,
    facts: DataFacts | None,
    request: tasks.Analyze | tasks.Preview,
    report: Report,
) -> tuple[nasviz.trace.TracedNetwork, SearchSpace]:
    """Return what `_trace` does, from the last trace if only options changed; never modify the network."""
    key = key_of_network(source, facts)
    if key not in _TRACED:
        _TRACED.clear()
        network, space = _trace(source, facts, request, report)
        if space.trace.num_parameters <= MAX_CACHED_PARAMETERS:
            _TRACED[key] = network
        return network, space
    return _TRACED[key], search_space(_TRACED[key], request.protect, request.collapse, frozen=request.frozen)


class _Throttled:
    """Passes on at most five reports per second: a download reports thousands of times."""

    def __init__(self, report: Report) -> None:
        self._report, self._last = report, 0.0

    def __call__(self, share: float, words: str) -> None:
        now = time.monotonic()
        if now - self._last > 0.2 or share >= 1:
            self._last = now
            self._report(share, words)


if __name__ == "__main__":
    load_extensions()
    if WARM in sys.argv:
        nasviz.trace.trace_quietly(*nasviz.models.build(NetworkSource("demonet"), seed=0))
    serve(CHANNEL)
