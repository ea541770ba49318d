"""The address of a page: it names the network, what is collapsed and protected, the run, and a few choices.

So it can be kept, or sent to somebody else. An address may come from anybody, so it only names: a callable of
the user's own Python is imported, and a network larger than the catalog lists it is traced, once a person has
agreed to it on the page (`nasviz.ui.consent`); settings in an address are for networks of the catalog, within
their bounds. An address that cannot be opened is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from nasviz.catalog import NetworkSource, image_and_others, read_inputs
from nasviz.errors import InvalidSettingError, NasvizError, OnnxError
from nasviz.runs import find_subnet
from nasviz.ui import session
from nasviz.ui.onnx_files import OnnxFile, shelf
from nasviz.ui.options import options
from nasviz.ui.words import inert

__all__ = ["link", "read_link", "write_link"]

_CHOICES = {"K": "k", "optimizer": "optimizer", "seed": "seed", "view": "view"}
"""Names in the address of what widgets remember."""
MOST_PARTS = 1000
LONGEST_PATTERN = 200
_SETTINGS = "set."
"""Before the names of a network's own settings in the address."""


def link() -> dict[str, str]:
    """What the address says of the current network and run."""
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
    found = {"model": source.name}
    if source.input_shape:
        found["input"] = "x".join(map(str, source.input_shape))
    elif source.inputs:
        found["input"] = ";".join(map(str, source.inputs))
    if source.num_classes:
        found["classes"] = str(source.num_classes)
    if source.is_callable:  # its settings are arguments of code: no address may hold them
        return found
    return found | {f"{_SETTINGS}{name}": str(value) for name, value in dict(source.settings).items()}


def write_link() -> None:
    """Bring the address up to date, where it is not."""
    if st.query_params.to_dict() != link():
        st.query_params.from_dict(link())


def read_link() -> None:
    """Take over what the address of the first page of a visit says."""
    if not session.is_new():
        return
    asked = st.query_params.to_dict()
    state = session.current()
    try:
        if "onnx" in asked:
            state.source = _uploaded(asked["onnx"])
        elif "subnet" in asked:
            state.source = find_subnet(options().runs, asked["subnet"])
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
        state.notice = f"The address asks for something that cannot be opened: {inert(str(error))}"
    state.run_id = asked.get("run")
    state.vertex = state.linked = asked.get("vertex")


def _uploaded(key: str) -> OnnxFile:
    file = shelf().find(key)
    if file is None:
        raise OnnxError("the ONNX file it names is not kept any more; choose it again on the Model page")
    return file


def _source(asked: Mapping[str, str]) -> NetworkSource:
    is_code = ":" in asked["model"]
    settings = [name for name in asked if name.startswith(_SETTINGS)]
    if is_code and settings:
        raise InvalidSettingError(
            f"{asked['model'][:80]} is Python code, and an address may not hold arguments for it; leave out"
            f" {', '.join(settings)[:200]}, or write a function without arguments"
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
            f"collapse holds a pattern of {len(long[0]):,} characters; {LONGEST_PATTERN} are allowed"
        )
    return patterns


def _parts(name: str, text: str) -> list[str]:
    parts = text.split(",")
    if len(parts) > MOST_PARTS:
        raise InvalidSettingError(f"{name} holds {len(parts):,} parts; {MOST_PARTS:,} are allowed")
    return parts


def _choice(name: str, text: str) -> int | str:
    if name in ("optimizer", "view"):
        return text
    return _whole(name, text)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < session.LONGEST_NUMBER):
        raise InvalidSettingError(f"{name}={text[:40]!r} was asked for, but it must be a whole number from 0")
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
