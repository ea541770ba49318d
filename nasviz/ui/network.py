"""The Model page: where a network comes from, and what it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import streamlit as st

from nasviz import jobs
from nasviz.catalog import CALLABLE, NETWORKS, Entry, NetworkSource, Value, image_and_others, read_inputs
from nasviz.draw.labels import axes_text, count, plain_shape
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.graph import SearchSpace
from nasviz.runs.files import write_bytes
from nasviz.runs.storage import told
from nasviz.ui import controls, frame, published, recent, session, work, zoo
from nasviz.ui.numbers import power_of_ten
from nasviz.ui.onnx_files import LARGEST_MB, OnnxFile, shelf
from nasviz.ui.options import options
from nasviz.ui.session import Analysis
from nasviz.ui.words import inert, sentence

__all__ = ["choose", "facts"]

_UPLOAD = "onnx.file"

_INPUTS = (
    "`3,32,32` is one image; else the batch comes first: `N,1,16000`, or `int64:N,16<1000` for whole numbers"
    " below 1000. Several inputs: `tokens=int64:N,16<1000; mask=bool:N,16`. Empty where the callable returns"
    " a pair of the network and its example inputs."
)
FIELDS_IN_A_ROW = 3
ZOO, TORCHVISION, TIMM = "Zoo", "torchvision", "timm"
OWN, ONNX = "Your own Python", "ONNX, to look at"


@frame.tell_errors
def choose() -> None:
    """Offer the ways to a network."""
    choices = session.current().choices
    recent.offer()
    places = [ZOO, TORCHVISION, TIMM, OWN, ONNX]
    place = st.segmented_control(
        "Where from", places, default=choices.get("place", ZOO), required=True, label_visibility="collapsed"
    )
    choices["place"] = place
    if place == ZOO:
        _zoo()
    elif place == TORCHVISION:
        _torchvision()
    elif place == TIMM:
        _timm()
    elif place == ONNX:
        _onnx()
    else:
        _own()


@frame.tell_errors
def facts() -> None:
    """Tell what the current network is, and what one should know of it."""
    analysis, space = session.require_analysis(), session.space()
    trace = space.trace
    st.subheader(inert(session.title()))
    _metrics(
        {
            "Parameters": (f"{trace.num_parameters:,}", "Trainable numbers; shared tensors count once."),
            "MACs": (f"{trace.macs:,}", "Multiply-accumulates of convolutions and linears for one image."),
            "Input": (", ".join(plain_shape(i.shape) for i in trace.inputs), "Shape of one example."),
            "Operators": (f"{len(trace):,}", "Vertices of the trace graph."),
            "Edges": (f"{trace.num_edges:,}", "Data edges between operators."),
        }
    )
    _metrics(
        {
            "Segments": (f"{len(space.segments):,}", "Runs of operators that only go as a whole."),
            "Could be erased": (f"{len(space.removable):,}", "Removal structures: they count towards K."),
            "At most together": (f"{space.max_sparsity:,}", "K_max: more would cut the output off."),
            "Agreement": (
                _exactness(analysis),
                "Largest relative difference between the traced network and yours, over all checks.",
            ),
            "Read in" if isinstance(analysis.source, OnnxFile) else "Traced in": (
                f"{analysis.seconds:.2f} s",
                "Building or reading, tracing, comparing, segmenting.",
            ),
        }
    )
    st.caption(f"Traced by {inert(analysis.rung)}.{_free(analysis)}")
    if space.collapse or space.protect:
        _wishes(space)
    if not isinstance(analysis.source, OnnxFile):
        published.compare(analysis.source, trace)
    for warning in analysis.warnings:
        if warning not in analysis.changed_training:
            st.warning(sentence(warning), icon=":material/warning:")
    for change in analysis.changed_training:
        words = f"Training it is not training your network: {sentence(change)}"
        st.warning(words, icon=":material/warning:")
    if not space.removable:
        st.info(
            "Nothing in this network can be erased as a whole: it has no branches that meet again. Its graphs"
            " are still worth a look.",
            icon=":material/info:",
        )


def _metrics(values: Mapping[str, tuple[str, str]]) -> None:
    with st.container(key=f"facts-{next(iter(values)).lower()}"):
        columns = st.columns(len(values))
    for column, (label, (value, said)) in zip(columns, values.items(), strict=True):
        column.metric(label, value, help=said)


def _exactness(analysis: Analysis) -> str:
    if not analysis.parity:
        return "not compared"
    worst = max(analysis.parity.values())
    return "exact" if worst == 0 else power_of_ten(worst)


def _free(analysis: Analysis) -> str:
    """Return the axes along which inputs may have any size."""
    if not analysis.free_axes:
        return ""
    return f" Inputs may have any size along these axes: {inert(axes_text(analysis.free_axes))}."


def _wishes(space: SearchSpace) -> None:
    """That the numbers above are those of the wishes made on the page Segment graph."""
    collapsed = f"{inert(', '.join(space.collapse))} collapsed" if space.collapse else ""
    protected = f"{len(space.protect)} protected" if space.protect else ""
    wishes = ", ".join(filter(None, (collapsed, protected)))
    st.caption(f"Segments and structures are counted with {wishes}, as chosen on the page Segment graph.")


def _zoo() -> None:
    entries = [entry for entry in NETWORKS.values() if entry.family != "torchvision"]
    zoo.cards(entries)
    with st.expander("Other width, input or classes; your trained weights", icon=":material/tune:"):
        names = [entry.name for entry in entries]
        name = st.selectbox("Network", names, format_func=lambda name: NETWORKS[name].title, key="zoo.name")
        _details(NETWORKS[name], "zoo")


def _torchvision() -> None:
    names = [name for name, entry in NETWORKS.items() if entry.family == "torchvision"]
    choices = session.current().choices
    index = names.index(choices.get("torchvision", "resnet18"))
    name = st.selectbox(
        f"Search among {len(names)} classifiers of torchvision", names, index=index, key="torchvision.name"
    )
    choices["torchvision"] = name
    st.caption(
        "Type a part of the name. Built with random weights; nothing is downloaded. Bring your own weights"
        " below."
    )
    _details(NETWORKS[name], "torchvision")


def _timm() -> None:
    if find_spec("timm") is None:
        st.info(
            "timm is not installed beside nasviz. `pip install timm` adds its networks here.",
            icon=":material/info:",
        )
        return
    cache = session.current().jobs
    names = work.require("timm", jobs.timm_names, "Asking timm for its networks", cache=cache)["names"]
    choices = session.current().choices
    known = choices.get("timm", "resnet18")
    index = names.index(known) if known in names else 0
    name = st.selectbox(f"Search among {len(names):,} networks of timm", names, index=index, key="timm.name")
    choices["timm"] = name
    st.caption("Type a part of the name. Built with random weights; nothing is downloaded.")
    shape = st.text_input("Input of one image as C,H,W", placeholder="the network's own", key="timm.shape")
    classes = st.number_input("Classes", 1, 1_000_000, None, placeholder="1000", key="timm.classes")
    weights = _weights("timm")
    if st.button(f"Open {name}", type="primary", key="timm.open"):
        source = NetworkSource(f"timm.{name}", _shape(shape), classes, weights=weights)
        session.open_network(source, is_chosen=True)
        st.rerun()


def _own() -> None:
    st.write(
        "Name a class or function that returns a network, or a network and its example inputs. It is imported"
        " in a process of its own, only from the folders that this app was started with, and only after you"
        " have seen which files that are."
    )
    if not options().trust:
        st.info(
            "It was started with none, so no code of yours is run. Start it again, and name the folder that"
            " your file lies in:",
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
        placeholder="my_model:MyNet, for MyNet in my_model.py",
        key="own.name",
    )
    text = st.text_input(
        "Input", placeholder="3,32,32 · empty where the callable returns its inputs too", key="own.shape"
    )
    st.caption(_INPUTS)
    classes = st.number_input(
        "Classes", 1, 1_000_000, None, placeholder="from the callable", key="own.classes"
    )
    weights = _weights("own")
    # Never disabled: a field hands its text over when it is left, which the click on the button does.
    if not st.button("Open", type="primary", key="own.open"):
        return
    if not CALLABLE.fullmatch(name.strip()):
        st.error("Name file and class, as `my_model:MyNet` for the class or function MyNet in my_model.py.")
    else:
        shape, inputs = image_and_others(read_inputs(text))
        source = NetworkSource(
            name.strip(), shape, classes, weights=weights, trust=options().trust, inputs=inputs
        )
        session.open_network(source)
        st.rerun()


def _onnx() -> None:
    st.write(
        "Look at a network of any framework: its graphs, its structures and why the rest stays, its sizes. It"
        " can't be trained or cut from here. The file is data: a process of its own reads it, within limits,"
        " and opens no other file."
    )
    st.file_uploader(
        "ONNX file", type=["onnx"], key=_UPLOAD, on_change=_take_onnx, max_upload_size=LARGEST_MB
    )


def _take_onnx() -> None:
    """Open the file that was just handed in; the page is drawn after this."""
    file = st.session_state[_UPLOAD]
    if file is None:
        return
    try:
        session.open_network(shelf().put(file.getvalue(), file.name))
    except (NasvizError, OSError) as error:
        session.current().notice = sentence(str(error))


def _details(entry: Entry, key: str) -> None:
    """Input, classes, settings and weights of a network of the catalog, and the button that opens it."""
    columns = st.columns(min(FIELDS_IN_A_ROW, 2 + len(entry.settings)))
    default = ",".join(map(str, entry.input_shape))
    shape = columns[0].text_input("Input of one image as C,H,W", placeholder=default, key=f"{key}.shape")
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
        source = NetworkSource(entry.name, _shape(shape), classes, weights=weights, settings=settings)
        session.open_network(source, is_chosen=True)
        st.rerun()


def _shape(text: str) -> tuple[int, ...] | None:
    parts = [part for part in re.split(r"[\s,x×]+", text.strip()) if part]
    if not parts:
        return None
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise InvalidSettingError(
            f"the input was given as {text!r}, but it must be three whole numbers: channels, height and"
            " width, such as 3,32,32"
        )
    return tuple(int(part) for part in parts)


def _weights(key: str) -> str | None:
    """Path of the weights that were uploaded, kept with the runs so that a run can be resumed."""
    file = st.file_uploader(
        "Your trained weights (optional)",
        type=["safetensors", "pt", "pth"],
        key=f"{key}.weights",
        help="safetensors, or a .pt or .pth file that holds tensors only: no code of the file is run.",
    )
    if file is None:
        return None
    content = file.getvalue()
    folder = options().uploads
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{Path(file.name).suffix.lower()}"
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_bytes(path, content)
    return str(path)


def summary(analysis: Analysis) -> str:
    """One line about a network."""
    trace = analysis.space.trace
    sizes = f"{count(trace.num_parameters)} parameters, {count(trace.macs)} MACs"
    return f"{session.title(analysis.source)}: {sizes}"
