"""Sources of networks: a name of the catalog, a user-defined callable or a saved sub-network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any

from nasviz.catalog.entry import Configuration, Entry, Value
from nasviz.catalog.genotype import read_genotype
from nasviz.catalog.inputs import InputSpec
from nasviz.catalog.networks import NETWORKS, find
from nasviz.catalog.weights import is_published, network_of
from nasviz.errors import InvalidSettingError

__all__ = ["CALLABLE", "NetworkSource", "is_modest"]

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_TIMM = re.compile(r"timm\.[A-Za-z0-9_]{1,100}")
CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
"""Syntax of a user-defined callable: package.module:callable."""
_CUT = re.compile(r"(.+?)_subnet(\d{0,6})")
_LONGEST = 200
_LONGEST_STEM = 40
_LARGEST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """Reference to a network with its input, settings and weights. Creating it builds and imports nothing.

    Raises:
        UnknownNameError: The catalog has no network of this name; the message lists the nearest names.
        InvalidSettingError: A part is malformed, or a callable has no trusted folder.

    Examples:
        >>> NetworkSource("demonet", settings={"width": 0.25}).to_json()["settings"]
        {'width': 0.25}
    """

    name: str
    """Name in the catalog, "timm." with a name of timm, "package.module:callable", or published weights."""
    input_shape: tuple[int, ...] | None = None
    """Shape (C, H, W) of one image; None for the default of the network."""
    num_classes: int | None = None
    weights: str | None = None
    """Path of trained weights, or a name under which they are published, such as "timm:resnet18.a1_in1k"."""
    trust: tuple[str, ...] = ()
    """Trusted folders from which a callable may be imported."""
    settings: Mapping[str, Value] | tuple[tuple[str, Value], ...] = field(default=())
    """Settings of the network, such as `width`; stored as sorted pairs, so that a source is hashable."""
    subnet: str | None = None
    """Folder of a saved sub-network; `name` is then its label."""
    inputs: tuple[InputSpec, ...] = ()
    """Inputs of a callable that are not a single image; empty to use `input_shape`."""
    ema: bool = False
    """Whether the averaged weights of a file that holds both are loaded; otherwise the trained ones."""
    skip_head: bool = False
    """Whether the head keeps its random weights, as for another number of classes."""
    graph: str | None = None
    """Folder of a watched run, which holds the network as a graph only; `name` is then its label."""

    def __post_init__(self) -> None:
        if self.subnet is not None or self.graph is not None:
            self._check_stored()
            return
        if isinstance(self.name, str) and is_published(self.name):
            if self.weights not in (None, self.name):
                raise InvalidSettingError(f"{self.name} has weights already; leave out {self.weights}")
            object.__setattr__(self, "weights", self.name)
            object.__setattr__(self, "name", network_of(self.name))
        self._check_name()
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", _checked_shape(self.input_shape))
        if self.inputs:
            self._check_inputs()
        if self.num_classes is not None and not _is_whole(self.num_classes, 1, 10**6):
            raise InvalidSettingError(
                f"num_classes must be a whole number from 1 to 1,000,000; got {self.num_classes!r} instead"
            )
        if self.weights is not None and not _is_path(self.weights):
            raise InvalidSettingError(f"weights must be the path of a file; got {self.weights!r} instead")
        if self.weights is not None and is_published(self.weights) and network_of(self.weights) != self.name:
            raise InvalidSettingError(f"{self.weights} are the weights of another network than {self.name}")
        for choice in ("ema", "skip_head"):
            if not isinstance(given := getattr(self, choice), bool) or (given and self.weights is None):
                raise InvalidSettingError(f"{choice} is True or False, and needs weights; got {given!r}")
        if self.is_published and (self.ema or self.skip_head):
            raise InvalidSettingError(
                f"ema and skip_head are choices for a file; {self.weights} is one set, whose head is new for"
                " another number of classes: leave them out"
            )
        object.__setattr__(self, "settings", self._checked_settings())

    @property
    def is_callable(self) -> bool:
        """Whether the source is user code; a saved sub-network is data."""
        return not self.is_stored and ":" in self.name and not self.is_published

    @property
    def is_stored(self) -> bool:
        """Return whether the source is a folder: a saved sub-network, or the graph of a watched run."""
        return self.subnet is not None or self.graph is not None

    @property
    def is_published(self) -> bool:
        """Return whether the weights are published by timm, torchvision or on Hugging Face.

        Examples:
            >>> source = NetworkSource("torchvision:resnet18:IMAGENET1K_V1")
            >>> source.is_published, source.name
            (True, 'resnet18')
        """
        return self.weights is not None and is_published(self.weights)

    @property
    def timm_name(self) -> str | None:
        """Name of the network in timm; None for other networks.

        Examples:
            >>> NetworkSource("timm.resnet18").timm_name
            'resnet18'
        """
        is_timm = not self.is_stored and _TIMM.fullmatch(self.name)
        return self.name.partition(".")[2] if is_timm else None

    @property
    def entry(self) -> Entry | None:
        """Entry of the catalog; None for callables, networks of timm or the hub, and stored networks."""
        is_listed = not self.is_stored and ":" not in self.name and self.timm_name is None
        return find("network", self.name) if is_listed else None

    @property
    def data_kind(self) -> str:
        """Kind of data that the network reads: "images" or "text".

        Examples:
            >>> NetworkSource("cells", settings={"genotype": "Genotype(recurrent=[('tanh', 0)])"}).data_kind
            'text'
        """
        entry = self.entry
        if entry is None:
            return "images"
        given = dict(self.settings).get("genotype")
        is_text = entry.family == "text" or (given and read_genotype(given).kind == "recurrent")
        return "text" if is_text else "images"

    @property
    def title(self) -> str:
        """Title of the network.

        Examples:
            >>> NetworkSource("demonet").title, NetworkSource("demonet_subnet", subnet="runs/x").title
            ('DemoNet', 'Sub-network of DemoNet')
        """
        if self.subnet is None:
            return self.entry.title if self.entry else self.name
        known = _CUT.fullmatch(self.name)
        if known is None:
            return self.name
        first, again = known.groups()
        title = NETWORKS[first].title if first in NETWORKS else first
        return f"Sub-network {again} of {title}" if again else f"Sub-network of {title}"

    @property
    def name_of_subnet(self) -> str:
        """Default name of a sub-network of this network.

        Examples:
            >>> NetworkSource("demonet").name_of_subnet
            'demonet_subnet'
            >>> NetworkSource("demonet_subnet", subnet="runs/x").name_of_subnet
            'demonet_subnet2'
        """
        known = _CUT.fullmatch(self.name)
        if self.subnet is not None and known is not None:
            return f"{known[1]}_subnet{int(known[2] or 1) + 1}"
        return f"{re.sub(r'[^A-Za-z0-9_]+', '_', self.name)[-_LONGEST_STEM:]}_subnet"

    @property
    def form(self) -> Configuration | None:
        """Published configuration that equals this network; None if there is none.

        Examples:
            >>> NetworkSource("darts_8").form.counted["num_structures"]
            464
            >>> NetworkSource("darts_8", settings={"channels": 16}).form is None
            True
        """
        entry = self.entry
        return None if entry is None else next((f for f in entry.configurations if self._is(entry, f)), None)

    def _is(self, entry: Entry, form: Configuration) -> bool:
        return (
            entry.complete(dict(self.settings)) == entry.complete(form.settings)
            and (self.input_shape or entry.input_shape) == (form.input_shape or entry.input_shape)
            and (self.num_classes or entry.num_classes) == (form.num_classes or entry.num_classes)
        )

    def _check_stored(self) -> None:
        folder = self.graph if self.subnet is None else self.subnet
        kind = "the graph of a watched run" if self.subnet is None else "a saved sub-network"
        if not _is_path(folder) or not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise InvalidSettingError(
                f"{kind} needs its folder and a name of letters, digits and underscores; got"
                f" {str(folder)[:120]!r} and {str(self.name)[:60]!r}"
            )
        given = self.input_shape, self.inputs, self.num_classes, self.weights, self.trust, dict(self.settings)
        both = self.subnet is not None and self.graph is not None
        if any((*given, self.ema, self.skip_head, both)):
            raise InvalidSettingError(
                f"{self.name} is {kind} with fixed input, classes, weights and settings; leave them out"
            )
        object.__setattr__(self, "settings", ())

    def _check_inputs(self) -> None:
        if not isinstance(self.inputs, tuple) or not all(isinstance(i, InputSpec) for i in self.inputs):
            raise InvalidSettingError(f"inputs must be a tuple of InputSpec; got {self.inputs!r} instead")
        words = " and ".join(map(str, self.inputs))
        if self.input_shape is not None:
            raise InvalidSettingError(
                f"got both the inputs {words} and the image shape {self.input_shape}; leave one out"
            )
        if ":" not in self.name:
            raise InvalidSettingError(
                f"{self.name} takes one image; got the input {words}, write C,H,W, e.g. 3,32,32"
            )

    def _check_name(self) -> None:
        if not isinstance(self.name, str) or len(self.name) > _LONGEST:
            raise InvalidSettingError(
                f"a network's name must be text of at most {_LONGEST} characters; got {str(self.name)[:60]!r}"
            )
        if isinstance(self.trust, str) or not all(_is_path(folder) for folder in self.trust):
            raise InvalidSettingError(
                f"trust must be a tuple of folders; got {self.trust!r} instead, write ('/path/to/folder',)"
            )
        object.__setattr__(self, "trust", tuple(self.trust))
        if self.name.startswith("hf:") and is_published(self.name):
            if dict(self.settings):
                raise InvalidSettingError(f"{self.name} takes inputs and a number of classes only")
        elif CALLABLE.fullmatch(self.name):
            if not self.trust:
                raise InvalidSettingError(
                    f"{self.name!r} is Python code, but there is no trusted folder; give its folder by"
                    " --trust DIR on the command line, or trust=(DIR,) in Python"
                )
        elif self.timm_name:
            if dict(self.settings):
                # Some settings of timm name files that it would load as code.
                raise InvalidSettingError(f"{self.name} takes an input shape and a number of classes only")
        elif _NAME.fullmatch(self.name):
            find("network", self.name)
        else:
            raise InvalidSettingError(
                f"{self.name!r} is not a network: expected a name of the catalog, e.g. demonet or resnet18, a"
                " name of timm, e.g. timm.resnet18, or a callable, package.module:callable"
            )

    def _checked_settings(self) -> tuple[tuple[str, Value], ...]:
        given = dict(self.settings)
        entry = self.entry
        if entry is not None:
            checked = entry.complete(given)
            given = {name: value for name in given if (value := checked[name]) is not None}
        for name, value in given.items():
            if not (isinstance(name, str) and name.isidentifier()) or not isinstance(
                value, int | float | str
            ):
                raise InvalidSettingError(
                    f"a setting of {self.name} must be a name with a number, string or boolean; got {name!r}:"
                    f" {value!r}"
                )
        return tuple(sorted(given.items()))

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `json.dumps`."""
        return {
            "name": self.name,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "num_classes": self.num_classes,
            "weights": self.weights,
            "trust": list(self.trust),
            "settings": dict(self.settings),
        } | self._rare()

    def _rare(self) -> dict[str, Any]:
        """Return the JSON of the fields that most networks do not have."""
        places = {"subnet": self.subnet, "graph": self.graph}
        rare: dict[str, Any] = {name: place for name, place in places.items() if place is not None}
        rare |= {name: True for name in ("ema", "skip_head") if getattr(self, name)}
        return rare | ({"inputs": [str(spec) for spec in self.inputs]} if self.inputs else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetworkSource:
        """Return the source from the data of `to_json`; missing fields take their defaults.

        Raises:
            InvalidSettingError: A field is unknown or malformed.
        """
        known = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or "name" not in data or set(data) - known:
            raise InvalidSettingError(
                f"a network source is a mapping with 'name' and any of {', '.join(sorted(known - {'name'}))};"
                f" got {str(data)[:120]!r}"
            )
        values = dict(data)
        for name in ("input_shape", "trust"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        texts = values.get("inputs", ())
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InvalidSettingError(f"inputs must be a list of strings; got {str(texts)[:120]!r} instead")
        values["inputs"] = tuple(map(InputSpec.parse, texts))
        return cls(**values)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _checked_shape(shape: object) -> tuple[int, ...]:
    parts = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(parts) != 3 or not all(_is_whole(part, 1, _LARGEST_SIDE) for part in parts):
        raise InvalidSettingError(
            f"input_shape must be (channels, height, width), whole numbers from 1 to {_LARGEST_SIDE}; got"
            f" {shape!r} instead, write (3, 32, 32); for other inputs, give `inputs`, or return the module"
            " and its example inputs from the callable"
        )
    return parts


SMALL_INPUT = 3 * 32 * 32
"""Input size in elements that is cheap for every network of the catalog."""
USUAL_INPUT = 3 * 224 * 224
"""Input size in elements allowed for networks whose default is unknown without building them."""
USUAL_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class _Form:
    settings: dict[str, Value | None]
    num_inputs: int
    num_classes: int


def is_modest(source: NetworkSource) -> bool:
    """Return whether a network is no larger than a configuration of the catalog.

    There must be a configuration (default or published) with the same choices, in which no numeric setting is
    smaller, the input has at least as many elements (3x32x32 is always allowed), and there are at least as
    many classes (1,000 are always allowed). Networks of timm are allowed with inputs up to 3x224x224, saved
    sub-networks always, user code and networks of the Hugging Face hub never.

    Examples:
        >>> is_modest(NetworkSource("demonet", (3, 32, 32), settings={"width": 0.5}))
        True
        >>> (
        ...     is_modest(NetworkSource("demonet", (3, 512, 512))),
        ...     is_modest(NetworkSource("nets:f", trust=("/x",))),
        ... )
        (False, False)
    """
    if source.is_stored:
        return True
    if ":" in source.name:  # user code, or a network of the hub of unknown size
        return False
    entry = source.entry
    classes = source.num_classes or 0
    if entry is None:
        return classes <= USUAL_CLASSES and prod(source.input_shape or ()) <= USUAL_INPUT
    chosen = entry.complete(dict(source.settings))
    num_inputs = prod(source.input_shape or entry.input_shape)
    return any(
        num_inputs <= max(form.num_inputs, SMALL_INPUT)
        and classes <= max(form.num_classes, USUAL_CLASSES)
        and all(_is_within(value, form.settings[name]) for name, value in chosen.items())
        for form in _forms(entry)
    )


def _forms(entry: Entry) -> list[_Form]:
    listed = [_Form(entry.complete({}), prod(entry.input_shape), entry.num_classes)]
    for form in entry.configurations:
        shape = form.input_shape or entry.input_shape
        listed.append(
            _Form(entry.complete(form.settings), prod(shape), form.num_classes or entry.num_classes)
        )
    return listed


def _is_within(value: Value | None, listed: Value | None) -> bool:
    if isinstance(value, bool | str) or isinstance(listed, bool | str) or value is None or listed is None:
        return value == listed
    return value <= listed
