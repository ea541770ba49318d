"""The Model page: choice and properties of the network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.catalog import CALLABLE, NETWORKS, Entry, NetworkSource, Value, image_and_others, read_inputs
from nasviz.catalog.user_modules import callable_name
from nasviz.catalog.weights import is_published
from nasviz.draw.labels import axes_text, count, plain_shape, power_of_ten
from nasviz.errors import InvalidSettingError, MissingPackageError, NasvizError
from nasviz.extras import locate_package
from nasviz.graph import SearchSpace
from nasviz.runs.files import write_bytes
from nasviz.runs.storage import translate_errors
from nasviz.ui import frame, session
from nasviz.ui.options import options
from nasviz.ui.parts import controls, published, recent, work, zoo
from nasviz.ui.parts.escaping import inert, sentence
from nasviz.ui.parts.onnx_files import LARGEST_MB, OnnxFile, upload_store
from nasviz.ui.session import Analysis

__all__ = ["choose", "facts", "model"]

_UPLOAD = "onnx.file"
_ONLY_ON_A_CLICK = "Nothing is downloaded before this click. Weights are kept in the cache of the library."

_INPUTS = (
    "`3,32,32` is one image. Other inputs start with the batch axis: `N,1,16000`, or `int64:N,16<1000` for"
    " integers below 1000. Several inputs: `tokens=int64:N,16<1000; mask=bool:N,16`."
)
FIELDS_IN_A_ROW = 3
ZOO, TORCHVISION, TIMM = "Zoo", "torchvision", "timm"
HUB, OWN, ONNX = "Hugging Face", "Your Python code", "ONNX (view only)"


@frame.Page(
    "Model",
    1,
    icon=":material/deployed_code:",
    invitation="Choose a network",
    lead="Choose a network and view its properties.",
    group="Analyze",
)
def model() -> None:
    """Show the properties of the current network, and below them the forms that choose another one."""
    above = st.container(key="model-facts")
    choose()  # first: the facts are those of the network that it opens
    with above:
        facts()
        frame.next_steps("Trace graph", "Segment graph", "Search and train")
        st.divider()


@frame.handle_errors
def choose() -> None:
    """Let the user choose a network from one of the sources."""
    choices = session.current().choices
    recent.offer()
    places = [ZOO, TORCHVISION, TIMM, HUB, OWN, ONNX]
    place = st.segmented_control(
        "Source", places, default=choices.get("place", ZOO), required=True, label_visibility="collapsed"
    )
    choices["place"] = place
    if place == ZOO:
        _zoo()
    elif place == TORCHVISION:
        _torchvision()
    elif place == TIMM:
        _timm()
    elif place == HUB:
        _hub()
    elif place == ONNX:
        _onnx()
    else:
        _own()


@frame.handle_errors
def facts() -> None:
    """Show the properties of the current network, and warnings about it."""
    analysis, space = session.require_analysis(), session.space()
    trace = space.trace
    st.subheader(inert(session.title()))
    _metrics(
        {
            "Parameters": (f"{trace.num_parameters:,}", "Trainable parameters; shared tensors count once."),
            "MACs": (
                f"{trace.macs:,}",
                "Multiply-accumulate operations of convolutions and linear layers for one example.",
            ),
            "Input": (", ".join(plain_shape(i.shape) for i in trace.inputs), "Shape of one example."),
            "Operators": (f"{len(trace):,}", "Vertices of the trace graph."),
            "Edges": (f"{trace.num_edges:,}", "Data edges between operators."),
        }
    )
    _metrics(
        {
            "Segments": (f"{len(space.segments):,}", "Runs of operators that are erased as a whole."),
            "Removable structures": (f"{len(space.removable):,}", "Removal structures, which K counts."),
            "Maximum K": (f"{space.max_sparsity:,}", "Erasing more would disconnect an output."),
            "Trace error": (
                _exactness(analysis),
                "Largest relative difference between the outputs of the traced and the original network.",
            ),
            "Load time" if isinstance(analysis.source, OnnxFile) else "Trace time": (
                f"{analysis.result.seconds:.2f} s",
                "Time for building or loading, tracing, comparing and segmenting.",
            ),
        }
    )
    st.caption(f"Traced by {inert(analysis.result.rung)}.{_free(analysis)}")
    if space.collapse or space.protect:
        _constraints(space)
    if not isinstance(analysis.source, OnnxFile):
        published.compare(analysis.source, trace)
    for warning in analysis.result.warnings:
        if warning not in analysis.result.changed_training:
            st.warning(sentence(warning), icon=":material/warning:")
    for change in analysis.result.changed_training:
        words = f"The traced network trains differently from the original: {sentence(change)}"
        st.warning(words, icon=":material/warning:")
    if not space.removable:
        st.info(
            "This network has no removable structures, because it has no parallel branches. Its graphs can"
            " still be viewed.",
            icon=":material/info:",
        )


def _metrics(values: Mapping[str, tuple[str, str]]) -> None:
    with st.container(key=f"facts-{next(iter(values)).lower()}"):
        columns = st.columns(len(values))
    for column, (label, (value, text)) in zip(columns, values.items(), strict=True):
        column.metric(label, value, help=text)


def _exactness(analysis: Analysis) -> str:
    if not analysis.result.parity:
        return "not compared"
    worst = max(analysis.result.parity.values())
    return "exact" if worst == 0 else power_of_ten(worst)


def _free(analysis: Analysis) -> str:
    """Return a sentence on the dynamic axes of the inputs."""
    if not analysis.result.free_axes:
        return ""
    fixed = "; ".join(
        f"axis {axis} of {name}: {reason}"
        for name, axes in analysis.result.fixed_axes.items()
        for axis, reason in axes.items()
    )
    words = f" Fixed: {inert(fixed)}." if fixed else ""
    return f" Dynamic axes of the inputs: {inert(axes_text(analysis.result.free_axes))}.{words}"


def _constraints(space: SearchSpace) -> None:
    """Note that the counts include the constraints of the Segment graph page."""
    collapsed = f"{inert(', '.join(space.collapse))} collapsed" if space.collapse else ""
    protected = f"{len(space.protect)} protected" if space.protect else ""
    constraints = ", ".join(filter(None, (collapsed, protected)))
    st.caption(f"Counts include the constraints of the page Segment graph: {constraints}.")


def _zoo() -> None:
    entries = [entry for entry in NETWORKS.values() if entry.family != "torchvision"]
    zoo.cards(entries)
    with st.expander("Custom width, input, classes or weights", icon=":material/tune:"):
        names = [entry.name for entry in entries]
        name = st.selectbox("Network", names, format_func=lambda name: NETWORKS[name].title, key="zoo.name")
        _details(NETWORKS[name], "zoo")


def _torchvision() -> None:
    names = [name for name, entry in NETWORKS.items() if entry.family == "torchvision"]
    choices = session.current().choices
    index = names.index(choices.get("torchvision", "resnet18"))
    name = st.selectbox(
        f"Search {len(names)} torchvision classifiers", names, index=index, key="torchvision.name"
    )
    choices["torchvision"] = name
    st.caption(
        "Type to filter. Networks have random weights, unless you upload your own or download published ones"
        " below."
    )
    _details(NETWORKS[name], "torchvision")


def _timm() -> None:
    try:
        locate_package("timm", "the list of its networks")
    except MissingPackageError as error:
        st.info(sentence(str(error)), icon=":material/info:")
        return
    cache = session.current().jobs
    request = jobs.TimmNames()
    listed = work.require("timm", lambda: jobs.submit(request), "Listing the networks of timm", cache=cache)
    names = listed.names
    choices = session.current().choices
    known = choices.get("timm", "resnet18")
    index = names.index(known) if known in names else 0
    name = st.selectbox(f"Search {len(names):,} timm networks", names, index=index, key="timm.name")
    choices["timm"] = name
    st.caption("Type to filter. Networks have random weights, unless you download published ones below.")
    shape = st.text_input("Input shape (C,H,W)", placeholder="default", key="timm.shape")
    classes = st.number_input("Classes", 1, 1_000_000, None, placeholder="1000", key="timm.classes")
    weights = _weights("timm")
    if st.button(f"Open {name}", type="primary", key="timm.open"):
        source = NetworkSource(f"timm.{name}", _shape(shape), classes, **weights)
        session.open_network(source, is_chosen=True)
        st.rerun()
    _offer_published(f"timm:{name}", shape, classes)


def _hub() -> None:
    st.write(
        "A network of timm or transformers with its weights, from huggingface.co. Only its configuration and"
        " safetensors are read; code of the repository is never run."
    )
    name = st.text_input("Repository", placeholder="microsoft/resnet-18", key="hub.name").strip()
    text = st.text_input(
        "Input", placeholder="3,224,224 · empty for that of the configuration", key="hub.shape"
    )
    st.caption(_INPUTS)
    classes = st.number_input("Classes", 1, 1_000_000, None, placeholder="as trained", key="hub.classes")
    _offer_published(f"hf:{name}", text, classes)


def _offer_published(weights: str, text: str, classes: int | None) -> None:
    """Offer the download of published weights, which starts on a click, and open the network then."""
    kind = weights.partition(":")[0]
    known, job = session.current().jobs, f"download {weights}"
    label = "Download its weights and open" if kind != "hf" else "Download and open"
    if st.button(label, icon=":material/download:", key=f"{kind}.download", help=_ONLY_ON_A_CLICK):
        known[job] = jobs.submit(
            jobs.DownloadWeights(weights=_published(weights, text, classes).weights or "")
        )
    if job in known and work.shown(job, f"Downloading {inert(weights)}", cache=known) is not None:
        source = _published(weights, text, classes)
        del known[job]
        session.open_network(source, is_chosen=True)
        st.rerun()


def _published(weights: str, text: str, classes: int | None) -> NetworkSource:
    shape, inputs = image_and_others(read_inputs(text))
    if not is_published(weights):
        raise InvalidSettingError(f"{weights.partition(':')[2][:80]!r} is not a repository: write ORG/NAME")
    return NetworkSource(weights, shape, classes, inputs=inputs)


def _own() -> None:
    st.write(
        "Name a class or function that returns a network, or a network and its example inputs. It is imported"
        " in a separate process, only from trusted folders, and only after you have confirmed the files."
    )
    if not options().trust:
        st.info(
            "This app was started without trusted folders, so it runs no user code. Restart it with the"
            " folder of your file:",
            icon=":material/lock:",
        )
        st.code("nasviz app --trust FOLDER", language="sh")
        return
    st.code("\n".join(options().trust), language=None)
    with st.container(horizontal=True):
        for listed in options().open:
            listed_source = NetworkSource(listed, trust=options().trust)
            st.button(listed, key=f"own.{listed}", on_click=session.open_network, args=(listed_source,))
    name = st.text_input(
        "Callable",
        placeholder="my_model:MyNet, or ./my_model.py:MyNet",
        key="own.name",
    )
    text = st.text_input(
        "Input", placeholder="3,32,32 · empty if the callable returns its inputs", key="own.shape"
    )
    st.caption(_INPUTS)
    classes = st.number_input(
        "Classes", 1, 1_000_000, None, placeholder="from the callable", key="own.classes"
    )
    weights = _weights("own")
    name = callable_name(name.strip(), options().trust)
    # Never disabled: a text field only submits its value on blur, which the click on the button causes.
    if not st.button("Open", type="primary", key="own.open"):
        return
    if not CALLABLE.fullmatch(name):
        st.error(
            "Enter module and callable, e.g. `my_model:MyNet` for the class or function MyNet in my_model.py."
        )
    else:
        shape, inputs = image_and_others(read_inputs(text))
        source = NetworkSource(name, shape, classes, trust=options().trust, inputs=inputs, **weights)
        session.open_network(source)
        st.rerun()


def _onnx() -> None:
    st.write(
        "View a network of any framework: its graphs, sizes and removable structures. It cannot be trained or"
        " pruned here. The file is parsed as data in a separate process with resource limits."
    )
    st.file_uploader(
        "ONNX file", type=["onnx"], key=_UPLOAD, on_change=_take_onnx, max_upload_size=LARGEST_MB
    )


def _take_onnx() -> None:
    """Open the uploaded file; this callback runs before the page."""
    file = st.session_state[_UPLOAD]
    if file is None:
        return
    try:
        session.open_network(upload_store().put(file.getvalue(), file.name))
    except (NasvizError, OSError) as error:
        session.current().notice = sentence(str(error))


def _details(entry: Entry, key: str) -> None:
    """Ask for input, classes, settings and weights of a catalog network, and open it on a click."""
    columns = st.columns(min(FIELDS_IN_A_ROW, 2 + len(entry.settings)))
    default = ",".join(map(str, entry.input_shape))
    shape = columns[0].text_input("Input shape (C,H,W)", placeholder=default, key=f"{key}.shape")
    classes = columns[1].number_input(
        "Classes", 1, 1_000_000, None, placeholder=str(entry.num_classes), key=f"{key}.classes"
    )
    settings: dict[str, Value] = {}
    for number, setting in enumerate(entry.settings, 2):
        with columns[number % FIELDS_IN_A_ROW]:
            value = controls.ask(setting, f"{key}.{entry.name}.{setting.name}")
        if value is not None and value != setting.default:
            settings[setting.name] = value
    weights = _weights(key)
    if st.button(f"Open {entry.title}", type="primary", key=f"{key}.open"):
        source = NetworkSource(entry.name, _shape(shape), classes, settings=settings, **weights)
        session.open_network(source, is_chosen=True)
        st.rerun()
    if entry.family == "torchvision":
        _offer_published(f"torchvision:{entry.name}:DEFAULT", shape, classes)


def _shape(text: str) -> tuple[int, ...] | None:
    parts = [part for part in re.split(r"[\s,x×]+", text.strip()) if part]
    if not parts:
        return None
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise InvalidSettingError(
            f"invalid input shape {text!r}: expected three integers for channels, height and width, e.g."
            " 3,32,32"
        )
    return tuple(int(part) for part in parts)


def _weights(key: str) -> dict[str, Any]:
    """Return the uploaded weights and what to load of them; they are stored with the runs for resuming."""
    file = st.file_uploader(
        "Trained weights (optional)",
        key=f"{key}.weights",
        help="safetensors, or a file of torch.save: a state dict or a checkpoint. No code in it is executed.",
    )
    if file is None:
        return {}
    ema = st.checkbox("Load the averaged weights (EMA)", key=f"{key}.ema")
    skip_head = st.checkbox("Load all but the head, for another number of classes", key=f"{key}.skip_head")
    content = file.getvalue()
    folder = options().uploads
    suffix = ".safetensors" if file.name.lower().endswith(".safetensors") else ".pt"
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
    with translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_bytes(path, content)
    return {"weights": str(path), "ema": ema, "skip_head": skip_head}


def summary(analysis: Analysis) -> str:
    """Return a one-line summary of a network."""
    trace = analysis.space.trace
    sizes = f"{count(trace.num_parameters)} parameters, {count(trace.macs)} MACs"
    return f"{session.title(analysis.source)}: {sizes}"
