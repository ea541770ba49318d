"""Permalinks: the address of a page names the network, its constraints, the run and a few choices.

Addresses are untrusted. A callable in Python code is imported, and a network larger than its catalog entry is
traced, only after consent on the page (`nasviz.ui.consent`). Settings in an address apply to catalog networks
only and are checked against their bounds. An address that cannot be opened is reported on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from nasviz.catalog import NetworkSource, image_and_others, read_inputs
from nasviz.catalog.weights import is_published
from nasviz.errors import InvalidSettingError, NasvizError, OnnxError
from nasviz.runs import find_subnet
from nasviz.ui import session
from nasviz.ui.options import options
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.onnx_files import OnnxFile, upload_store

__all__ = ["link", "read_link", "script_of", "write_link"]

_CHOICES = {"K": "k", "optimizer": "optimizer", "seed": "seed", "view": "view"}
"""Address parameters and the keys of the stored widget values."""
MOST_PARTS = 1000
LONGEST_PATTERN = 200
_SETTINGS = "set."
"""Prefix of the settings of a network in the address."""


def script_of(title: str) -> str:
    """Return the script of a page, as Streamlit wants it.

    Examples:
        >>> script_of("Trace graph"), script_of("Start")
        ('pages/Trace_graph.py', 'app.py')
    """
    return "app.py" if title == "Start" else f"pages/{title.replace(' ', '_')}.py"


def link() -> dict[str, str]:
    """Return the address parameters of the current network, constraints, choices and run."""
    state = session.current()
    found = _source_link(state.source)
    if state.collapse:
        found["collapse"] = ",".join(state.collapse)
    if state.protect:
        found["protect"] = ",".join(map(str, sorted(state.protect)))
    found |= {name: str(state.choices[key]) for name, key in _CHOICES.items() if key in state.choices}
    if state.run_id:
        found["run"] = state.run_id
    if state.vertex:
        found["vertex"] = state.vertex
    return found


def _source_link(source: session.Source) -> dict[str, str]:
    if isinstance(source, OnnxFile):
        return {"onnx": source.key}
    if source.subnet is not None:
        return {"subnet": Path(source.subnet).name}
    if source.graph is not None:
        return {"graph": Path(source.graph).name}
    found = {"model": source.name}
    if source.weights is not None and source.is_published:
        found["model"] = source.weights
    if source.input_shape:
        found["input"] = "x".join(map(str, source.input_shape))
    elif source.inputs:
        found["input"] = ";".join(map(str, source.inputs))
    if source.num_classes:
        found["classes"] = str(source.num_classes)
    if source.is_callable:  # never put arguments of user code into an address
        return found
    return found | {f"{_SETTINGS}{name}": str(value) for name, value in dict(source.settings).items()}


def write_link() -> None:
    """Update the address if it has changed."""
    if st.query_params.to_dict() != link():
        st.query_params.from_dict(link())


def read_link() -> None:
    """Initialize a new session from the address."""
    if not session.is_new():
        return
    asked = st.query_params.to_dict()
    state = session.current()
    try:
        if "onnx" in asked:
            state.source = _uploaded(asked["onnx"])
        elif "subnet" in asked:
            state.source = find_subnet(options().runs, asked["subnet"])
        elif "graph" in asked:
            state.source = _watched(asked["graph"])
        elif "model" in asked:
            state.source = _source(asked)
        elif "run" in asked:
            session.adopt(session.store().open(asked["run"]).settings)
        elif options().open:
            state.source = NetworkSource(options().open[0], trust=options().trust)
        if "collapse" in asked:
            state.collapse = _patterns(asked["collapse"])
        if "protect" in asked:
            state.protect = frozenset(_whole("protect", part) for part in _parts("protect", asked["protect"]))
        for name in asked.keys() & _CHOICES.keys():
            state.choices[_CHOICES[name]] = _choice(name, asked[name])
    except (NasvizError, ValueError) as error:
        state.notice = f"The address cannot be opened: {inert(str(error))}"
    state.run_id = asked.get("run")
    state.vertex = state.linked = asked.get("vertex")


def _uploaded(key: str) -> OnnxFile:
    file = upload_store().find(key)
    if file is None:
        raise OnnxError("its ONNX file is no longer stored; upload it again on the Model page")
    return file


def _watched(run_id: str) -> NetworkSource:
    source = session.store().open(run_id).settings.network
    if source.graph is None:
        raise InvalidSettingError(f"run {run_id} is not a watched loop; open it on the Runs page")
    return source


def _source(asked: Mapping[str, str]) -> NetworkSource:
    is_code = ":" in asked["model"] and not is_published(asked["model"])
    settings = [name for name in asked if name.startswith(_SETTINGS)]
    if is_code and settings:
        raise InvalidSettingError(
            f"{asked['model'][:80]} is Python code, whose arguments cannot be set by an address; remove"
            f" {', '.join(settings)[:200]}, or use a function without arguments"
        )
    shape, inputs = image_and_others(read_inputs(asked.get("input", "")))
    return NetworkSource(
        asked["model"],
        input_shape=shape,
        inputs=inputs,
        num_classes=_whole("classes", asked["classes"]) if "classes" in asked else None,
        trust=options().trust if is_code else (),
        settings={name.removeprefix(_SETTINGS): _value(asked[name]) for name in settings},
    )


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part for part in _parts("collapse", text) if part)
    if long := [pattern for pattern in patterns if len(pattern) > LONGEST_PATTERN]:
        raise InvalidSettingError(
            f"collapse has a pattern of {len(long[0]):,} characters; the maximum is {LONGEST_PATTERN}"
        )
    return patterns


def _parts(name: str, text: str) -> list[str]:
    parts = text.split(",")
    if len(parts) > MOST_PARTS:
        raise InvalidSettingError(f"{name} has {len(parts):,} parts; the maximum is {MOST_PARTS:,}")
    return parts


def _choice(name: str, text: str) -> int | str:
    if name in ("optimizer", "view"):
        return text
    return _whole(name, text)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < session.LONGEST_NUMBER):
        raise InvalidSettingError(f"{name}={text[:40]!r}: expected a non-negative integer")
    return int(text)


def _value(text: str) -> int | float | bool | str:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
