"""What a child process does: the one file of the light wing that loads torch and the torch wing.

Run as `python -m nasviz.jobs.child`. The channel for events is made first, then what tracing needs is loaded,
then, in a warm child, one small network is traced, so that the first person who asks finds all ready. Data,
scores and training are loaded by the tasks that need them.
"""

from __future__ import annotations

import math
import runpy
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

from nasviz.jobs.kept_files import key_of_network
from nasviz.jobs.process import WARM
from nasviz.jobs.serving import Channel, Report, Task, serve
from nasviz.jobs.trust import require_allowed

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
from nasviz.graph import SearchSpace, search_space
from nasviz.guarded_files import read_regular, scratch_folder
from nasviz.runs import Run
from nasviz.subnet.feed import example_inputs, known_inputs
from nasviz.subnet.source import source_of
from nasviz.subnet.third_party import imports_of
from nasviz.switches import settle_switches
from nasviz.trace.parity import relative_error

Inputs = Sequence[Sequence[int]]
Writer = Callable[[fx.GraphModule, Path, Inputs], dict[str, Any]]
MOST_KEPT = 100_000_000
"""Parameters up to which the network that was traced last stays in memory."""
_KEPT: dict[str, nasviz.trace.TracedNetwork] = {}
MOST_DIFFERENT = 1e-4
"""Relative difference up to which the Python source counts as computing the same."""

__all__ = [
    "TASKS",
    "analyze",
    "construct",
    "download",
    "export",
    "lesson",
    "preview",
    "reopen",
    "time_subnet",
    "time_vertices",
    "timm_names",
    "view_onnx",
]


def analyze(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Build a network, trace it, generate its search space."""
    start = time.perf_counter()
    source = NetworkSource.from_json(arguments["source"])
    network, space = _looked_at(source, None, arguments, report)
    return {
        "space": space.to_json(),
        "parity": dict(network.parity.max_relative_error),
        "rung": network.parity.rung,
        "warnings": list(network.parity.warnings),
        "changed_training": list(network.parity.changed_training),
        "free_axes": {name: list(axes) for name, axes in network.parity.free_axes.items()},
        "seconds": time.perf_counter() - start,
    }


def preview(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Score every removal structure of the untrained network on one batch of real data."""
    import nasviz.data
    import nasviz.saliency

    start = time.perf_counter()
    source = NetworkSource.from_json(arguments["source"])
    opened = nasviz.data.open_data(
        arguments["data"],
        folder=arguments["data_folder"],
        trust=arguments["trust"],
        image_shape=source.input_shape,
        seed=arguments["seed"],
    )
    network, space = _looked_at(source, opened.facts, arguments, report)
    report(0.7, "scoring every structure")
    batch = _batch(opened, arguments, network.trace_graph.inputs[0].shape[1:])
    generator = torch.Generator().manual_seed(arguments["seed"])
    scores = nasviz.saliency.score(arguments["saliency"], network, space, [batch], generator)
    return {"scores": list(scores.items()), "seconds": time.perf_counter() - start}


def construct(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Zero structures, cut them out, compare both networks, write the smaller one to a folder."""
    if "run" in arguments:
        return _construct_trained(arguments, report)
    source = NetworkSource.from_json(arguments["source"])
    network, space = _traced(source, None, arguments, report)
    sub = _cut(network, space, arguments, report)
    return _constructed(sub, arguments["folder"], sub.report.to_json())


def _construct_trained(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """From the latest weights of a run; with the accuracy of both networks."""
    from nasviz.train.checkpoint import restore
    from nasviz.train.evaluation import evaluate
    from nasviz.train.session import open_session

    folder, cpu = Path(arguments["run"]), torch.device("cpu")
    report(0.1, "loading the trained network")
    session = open_session(Run(folder).settings.changed(device="cpu"))
    restore(session, folder)
    network, space = session.network, session.space
    if any(switch.index is not None for switch in space.switches):
        network, space = settle_switches(network, space)  # so that each operation can go by itself
    sub = _cut(network, space, arguments, report)
    report(0.8, "measuring accuracy on the validation images")
    images = session.split.validation
    facts = sub.report.to_json()
    judge = partial(evaluate, images=images, device=cpu, loss=session.loss)
    facts["accuracy_full"] = judge(session.network)[1]
    facts["accuracy_subnet"] = judge(sub.module)[1]
    return _constructed(sub, arguments["folder"] or folder / "by-hand", facts)


def _cut(
    network: nasviz.trace.TracedNetwork, space: SearchSpace, arguments: Mapping[str, Any], report: Report
) -> nasviz.subnet.Subnetwork:
    report(0.6, "cutting, and comparing both networks")
    erased, gates = arguments["erased"], arguments["gates"]
    return nasviz.subnet.construct(network, space, erased, gates=gates, thorough=True)


def _constructed(sub: nasviz.subnet.Subnetwork, folder: Path | str, facts: dict[str, Any]) -> dict[str, Any]:
    nasviz.subnet.save(sub, folder)
    facts["imports"] = list(imports_of(sub.module))
    return {"report": _plain(facts), "plan": sub.plan.to_json(), "folder": str(folder)}


def reopen(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Read a sub-network back from its folder, and trace it."""
    report(0.2, "reading and tracing the sub-network")
    network = nasviz.subnet.load(arguments["folder"])
    traced = nasviz.trace.trace_quietly(network, _noise(network, arguments["inputs"], 2))
    return {"space": search_space(traced).to_json()}


def lesson(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Compute what a page of Learn shows."""
    from nasviz.train.lessons import LESSONS

    result: dict[str, Any] = _plain(LESSONS[arguments["name"]](**arguments["numbers"]))
    return result


def export(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Write a sub-network in forms that other programs read, each checked by reading it again."""
    folder, inputs = Path(arguments["folder"]), arguments["inputs"]
    report(0.05, "reading the sub-network")
    network = nasviz.subnet.load(folder).eval()
    full = _against_full(arguments, network, report)
    writers: Mapping[str, Writer] = {
        "onnx": _write_onnx,
        "onnx_plain": _write_plain_onnx,
        "pt2": _write_pt2,
        "source": _write_source,
    }
    files: dict[str, Any] = {}
    for number, kind in enumerate(arguments["kinds"]):
        report(0.1 + 0.9 * number / len(arguments["kinds"]), f"writing and checking {kind}")
        try:
            files[kind] = writers[kind](network, folder, inputs)
        except ExportError as error:
            files[kind] = {"error": str(error)}
    return {"files": files, "full": full}


def _against_full(arguments: Mapping[str, Any], network: fx.GraphModule, report: Report) -> str:
    """Return how the sub-network compares with the full network that its run has stored, in words."""
    if not arguments.get("of_run"):
        return "not checked against the full network again: it was compared when it was cut"
    from nasviz.train.rechecking import compare_with_full

    report(0.07, "comparing with the full network that the run has stored")
    return str(compare_with_full(Run(Path(arguments["of_run"])), network))


def _write_onnx(network: fx.GraphModule, folder: Path, inputs: Inputs) -> dict[str, Any]:
    """ONNX with a free batch size; the export itself reads it back and runs it by onnxruntime."""
    exported = nasviz.subnet.export_onnx(network, folder / "model.onnx", inputs=_noise(network, inputs, 2))
    return _facts(exported.path, exported.max_relative_error) | {"nodes": exported.num_nodes}


def _write_plain_onnx(network: fx.GraphModule, folder: Path, inputs: Inputs) -> dict[str, Any]:
    """The same with a node for every operator of the network."""
    path, fed = folder / "model-plain.onnx", _noise(network, inputs, 2)
    exported = nasviz.subnet.export_onnx(network, path, inputs=fed, simplify=False)
    return _facts(exported.path, exported.max_relative_error) | {"nodes": exported.num_nodes}


def _write_pt2(network: fx.GraphModule, folder: Path, inputs: Inputs) -> dict[str, Any]:
    """The program of torch.export; it is read back and run by the export itself."""
    exported = nasviz.subnet.export_pt2(network, folder / "model.pt2", inputs=_noise(network, inputs, 2))
    return _facts(exported.path, exported.max_relative_error)


def _write_source(network: fx.GraphModule, folder: Path, inputs: Inputs) -> dict[str, Any]:
    """Python source and weights in one archive; what was packed is unpacked, run and compared."""
    path, images = folder / "model.zip", _noise(network, inputs, 3)
    # Written anew from the network that was read as data: no code that lies in the folder is run.
    source = source_of(network)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("subnet/model.py", source)
        for name in ("weights.safetensors", "graph.json", "report.json"):
            archive.writestr(f"subnet/{name}", read_regular(folder / name))
    with scratch_folder("export") as place, zipfile.ZipFile(path) as archive:
        archive.extractall(place)
        names = runpy.run_path(str(place / "subnet" / "model.py"))
        answers = names["load"]().eval()(*images)
    difference = _difference(network, images, tree_leaves(answers))
    if not difference <= MOST_DIFFERENT:
        raise ExportError(
            f"model.py was written, but what it computes differs from the sub-network by {difference:.1e},"
            f" more than {MOST_DIFFERENT:.0e}; it is not offered"
        )
    return _facts(path, difference)


def view_onnx(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Read an ONNX file that nobody vouches for, and ask of its space whatever the server will ask."""
    from nasviz.onnx_viewer.view import view_onnx as read_file

    start = time.perf_counter()
    report(0.1, "checking the file")
    view = read_file(arguments["path"], name=arguments["name"])
    report(0.5, "finding what could go")
    space = search_space(view.trace_graph, arguments["protect"], arguments["collapse"])
    # What takes too long or too much for a hostile graph ends this process, not the one that draws.
    _ = space.structures, space.gates, space.switchable, space.max_sparsity, space.channels.structures
    writer = f", written by {view.producer}" if view.producer else ""
    return {
        "space": space.to_json(),
        "parity": {},
        "rung": f"reading an ONNX file (opset {view.opset}{writer}), to look at, not to train or cut",
        "warnings": list(view.notes),
        "changed_training": [],
        "free_axes": {},
        "seconds": time.perf_counter() - start,
    }


def timm_names(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Every network that the installed timm can build."""
    from nasviz.models.timm_networks import timm_names as known

    report(0.2, "asking timm what it has")
    return {"names": list(known())}


def time_vertices(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Time every vertex of a network on the device where it would be used."""
    network = _full(arguments, report)
    report(0.7, "timing every operator")
    fed = _fed(network, arguments["batch_size"])
    return {"table": nasviz.subnet.measure_vertices(network, fed).to_json()}


def time_subnet(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Time a sub-network and the network that it was cut out of, in turn; and the vertices of the latter."""
    network = _full(arguments, report)
    small = nasviz.subnet.load(arguments["folder"]).to(next(network.parameters()).device)
    report(0.7, "timing both networks in turn")
    fed = _fed(network, arguments["batch_size"])
    full, cut = nasviz.subnet.measure_latencies((network, small), fed)
    report(0.9, "timing every operator")
    table = nasviz.subnet.measure_vertices(network, fed)
    return {"full": full.to_json(), "subnet": cut.to_json(), "table": table.to_json()}


def _full(arguments: Mapping[str, Any], report: Report) -> nasviz.trace.TracedNetwork:
    """A full network with random weights, which decide nothing about its latency, on the device asked for."""
    from nasviz.train.session import choose_device

    facts = FACTS.get(arguments["data"]) if arguments["data"] else None
    source = NetworkSource.from_json(arguments["source"])
    network, _ = _traced(source, facts, {"protect": (), "collapse": ()}, report)
    network.to(choose_device(arguments["device"]))
    return network


def _fed(network: nasviz.trace.TracedNetwork, batch_size: int) -> tuple[Any, ...]:
    return example_inputs(network, network.trace_graph.inputs, batch=batch_size)


def _noise(network: fx.GraphModule, inputs: Inputs, batch: int) -> tuple[Any, ...]:
    """Random inputs, as the network knows them or of these shapes; the first axis is the batch."""
    if known := known_inputs(network):  # with their types: a text is read as whole numbers
        return example_inputs(network, known, batch=batch)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(batch, *shape[1:], generator=generator) for shape in inputs)


@torch.no_grad()
def _difference(network: nn.Module, images: tuple[torch.Tensor, ...], answers: Sequence[Any]) -> float:
    """Largest difference of any output, relative to its largest value."""
    expected = tree_leaves(network(*images))
    return max(relative_error(mine, its) for mine, its in zip(expected, answers, strict=True))


def _facts(path: Path, difference: float) -> dict[str, Any]:
    return {"path": str(path), "bytes": path.stat().st_size, "max_relative_error": difference}


def _plain(value: Any) -> Any:
    """The same without NaN and infinities, which are not JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _traced(
    source: NetworkSource, facts: DataFacts | None, wishes: Mapping[str, Any], report: Report
) -> tuple[nasviz.trace.TracedNetwork, SearchSpace]:
    report(0.05, "building the network")
    model, inputs = nasviz.models.build(source, facts, seed=0)
    report(0.2, "tracing and comparing with your network")
    network = nasviz.trace.trace_quietly(model, inputs)
    report(0.6, "finding what could go")
    return network, search_space(network, wishes["protect"], wishes["collapse"])


def _looked_at(
    source: NetworkSource, facts: DataFacts | None, wishes: Mapping[str, Any], report: Report
) -> tuple[nasviz.trace.TracedNetwork, SearchSpace]:
    """The same for who leaves the network as it is: protecting, or another saliency, costs no trace."""
    key = key_of_network(source, facts)
    if key not in _KEPT:
        _KEPT.clear()
        network, space = _traced(source, facts, wishes, report)
        if space.trace.num_parameters <= MOST_KEPT:
            _KEPT[key] = network
        return network, space
    return _KEPT[key], search_space(_KEPT[key], wishes["protect"], wishes["collapse"])


def _batch(
    opened: nasviz.data.Opened, arguments: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first batch that training would see, as it is stored."""
    split = opened.split(shape)
    order = nasviz.data.epoch_order(len(split.train), arguments["seed"], 0)
    images, labels = split.train.batch(order[: arguments["batch_size"]])
    return images, labels


def download(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Put a published data set into a folder: somebody has clicked for it."""
    import nasviz.data

    report(0.0, "asking for the files")
    root = nasviz.data.download(arguments["data"], arguments["folder"], _Seldom(report))
    return {"folder": str(root)}


class _Seldom:
    """Passes on what is new to the eye: a download reports thousands of times."""

    def __init__(self, report: Report) -> None:
        self._report, self._last = report, 0.0

    def __call__(self, share: float, words: str) -> None:
        now = time.monotonic()
        if now - self._last > 0.2 or share >= 1:
            self._last = now
            self._report(share, words)


def _only_trusted(task: Task) -> Task:
    """Return a task that first checks all code which its request names: this is the process that imports."""

    @wraps(task)
    def checked(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        require_allowed(arguments)
        return task(arguments, report)

    return checked


_TASKS = (
    analyze,
    preview,
    construct,
    reopen,
    export,
    view_onnx,
    lesson,
    time_vertices,
    time_subnet,
    download,
    timm_names,
)
TASKS = {task.__name__: _only_trusted(task) for task in _TASKS}

if __name__ == "__main__":
    if WARM in sys.argv:
        nasviz.trace.trace_quietly(*nasviz.models.build(NetworkSource("demonet"), seed=0))
    serve(CHANNEL, TASKS)
