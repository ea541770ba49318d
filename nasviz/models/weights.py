"""Loading of trained weights from files as people have them: tensors only, never code.

safetensors files hold only tensors. Files of `torch.save` are read with an explicit `weights_only=True`,
because an environment variable can change the default, and their zip directory is checked before they are
opened: torch stores members uncompressed, so compressed ones are rejected. Arguments and NumPy values stored
with the weights are replaced by an inert object: nothing that a file names is created or called, except
tensors.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nasviz.catalog import NetworkSource
from nasviz.catalog.weights import is_published, weight_files
from nasviz.errors import WeightsError

__all__ = ["describe_origin", "load_weights"]

_MOST_MEMBERS = 200_000
_MOST_NAMES = 2_000_000
"""Largest number of names that are compared: a small file can hold one mapping in thousands of others."""
# Raised by torch's reader for a file that is damaged or holds more than tensors.
_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights"),
    *("model_state", "current_model_state", "student"),
)
"""Keys of a checkpoint below which the trained weights are stored, in order of preference."""
_AVERAGED = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema", "ema_model"),
    *("params_ema", "averaged_model", "averaged", "teacher"),
)
"""Keys of a checkpoint, or prefixes of its names, of weights averaged over the steps (EMA or SWA)."""
_TRANSPARENT = ("module", "_orig_mod")
"""Parts of names that DataParallel, DistributedDataParallel, AveragedModel and torch.compile add."""
_COUNTER = "num_batches_tracked"
_AVERAGING = "n_averaged"  # counter of an AveragedModel


class _Inert:
    """Stand-in for an object stored with the weights: takes any arguments and state, and keeps nothing."""

    def __init__(self, *args: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _mapping(*args: object) -> OrderedDict[Any, Any]:
    """Return a mapping for a file to fill, in place of a `defaultdict`, whose factory is left out."""
    return OrderedDict()


_NUMPY = [
    f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")
]
_NUMPY += ["numpy.dtype", "numpy.ndarray"]
_NUMPY += [f"numpy.dtypes.{kind}{bits}DType" for kind in ("Float", "Int", "UInt") for bits in (8, 16, 32, 64)]
_BESIDE = [
    *("argparse.Namespace", "numpy.dtypes.BoolDType", "numpy.dtypes.StrDType"),
    *(f"{m}.{name}" for m in ("builtins", "__builtin__") for name in ("dict", "float", "int", "list")),
    *(
        f"pathlib.{part}{kind}Path"
        for part in ("", "_local.")
        for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")
    ),
    *("types.SimpleNamespace", "datetime.datetime", "datetime.date", "datetime.timedelta"),
    *_NUMPY,
]
_MAPPINGS: list[tuple[Callable[..., Any], str]] = [
    (_mapping, "collections.defaultdict"),
    (OrderedDict, "lightning.fabric.utilities.data.AttributeDict"),
    (OrderedDict, "lightning_fabric.utilities.data.AttributeDict"),
]


def load_weights(
    model: nn.Module,
    path: str | Path,
    *,
    ema: bool = False,
    skip_head: bool = False,
    rename: Callable[[str], str] = str,
    num_classes: int | None = None,
) -> tuple[str, ...]:
    """Set every parameter and buffer of `model` from a file; return the names that keep their values.

    Reads safetensors, one file or shards with an index, and files of `torch.save` that hold only tensors,
    whatever their suffix. State dicts inside a checkpoint are found; prefixes of Lightning, torch.compile,
    DataParallel and averaged models are removed. Counters of batch norms may be missing. The model is
    unchanged if the file does not fit.

    Args:
        model: Network of the architecture that was trained.
        path: File, index or folder.
        ema: Load the averaged weights of a checkpoint that holds both; otherwise the trained ones.
        skip_head: Load all but the head: the layers whose number of outputs differs from the file's, or the
            last layer where none differs. Tensors that other layers share are loaded.
        rename: Function from a name in the file to the network's.
        num_classes: Number of outputs of the head, where it is known.

    Raises:
        WeightsError: The file cannot be read safely, or its names, shapes or kinds of numbers differ from
            the network's.
    """
    files = weight_files(path)
    own = model.state_dict(keep_vars=True)
    heads = _heads(model, own, num_classes)
    fits = _choose(_Fit.all_of(own, heads, _read_all(files), rename), ema, files[0])
    best = max(fits, key=lambda fit: fit.rank(skip_head))
    if not best.is_whole(skip_head):
        raise WeightsError(
            f"{_shown(files[0].name)} does not fit this {type(model).__name__}: {best.explain()}"
        )
    rivals = [fit for fit in fits if fit.is_whole(skip_head) and fit.level == best.level and fit != best]
    if rivals := [fit for fit in rivals if not fit.has_tensors_of(best)]:
        places = " and ".join(sorted(fit.place for fit in (best, *rivals)))
        raise WeightsError(
            f"{_shown(files[0].name)} holds several sets of weights that fit: {places}; save the one to load"
        )
    skipped = best.head if skip_head else set()
    # Shared tensors may be stored under one of their names only, as `missing` allows.
    wanted = OrderedDict((n, best.state[n]) for n in own if n in best.state and n not in skipped)
    if problem := best.clash or _problem(own, wanted):
        raise WeightsError(f"{_shown(files[0].name)} does not fit this {type(model).__name__}: {problem}")
    try:
        # Some modules load by the version in this attribute, and the names are those of today's modules.
        wanted._metadata = own._metadata  # type: ignore[attr-defined]
        model.load_state_dict(wanted, strict=False)
    except RuntimeError as error:
        reason = _shown(str(error).partition("\n")[2].strip() or str(error))  # the first line is a heading
        raise WeightsError(f"{_shown(files[0].name)} cannot be copied: {reason}") from error
    return tuple(name for name in own if name in skipped)


def _heads(model: nn.Module, own: Mapping[str, Tensor], num_classes: int | None) -> list[str]:
    """Return the names that may belong to a head, in order: untied, and of `num_classes` outputs if known."""
    uses = Counter(map(id, own.values()))
    embeddings = {path for path, module in model.named_modules() if isinstance(module, nn.Embedding)}
    free = [n for n in own if uses[id(own[n])] == 1 and n.rpartition(".")[0] not in embeddings]
    return [n for n in free if tuple(own[n].shape[:1]) == (num_classes,)] or free


def _problem(own: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return why tensors cannot be copied, although names and shapes agree; empty if they can."""
    first: dict[int, str] = {}
    for name, value in wanted.items():
        if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_nested:
            return f"{_shown(name)} is sparse, quantised, nested or without data"
        kinds = [(t.is_floating_point(), t.is_complex()) for t in (value, own[name])]
        if kinds[0] != kinds[1] and not name.endswith(_COUNTER):  # `.half()` of all values includes counters
            return f"{_shown(name)} holds numbers of {value.dtype} for {own[name].dtype}"
        other = first.setdefault(id(own[name]), name)
        if other != name and not _is_same(value, wanted[other]):
            return f"{_shown(other)} and {_shown(name)} are one tensor of the network, but two in the file"
    return ""


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same, or hold the same values."""
    if one.shape != other.shape or one.dtype != other.dtype or one.layout != other.layout:
        return one is other
    is_alias = one is other or (
        one.layout == torch.strided
        and (one.data_ptr(), one.stride()) == (other.data_ptr(), other.stride())
        and not one.is_meta
    )
    return is_alias or (one.layout == torch.strided and not one.is_meta and torch.equal(one, other))


# ---- files ----


def _read_all(files: list[Path]) -> Any:
    """Return the content of a file, or the tensors of all shards behind an index."""
    if len(files) == 1:
        return _read(files[0])
    tensors: dict[str, Any] = {}
    for shard in files[1:]:
        content = _read(shard)
        if not isinstance(content, Mapping):
            raise WeightsError(f"the shard {_shown(shard.name)} holds no tensors by name")
        tensors |= content
    return tensors


def _read(file: Path) -> Any:
    size = file.stat().st_size
    with file.open("rb") as content:
        start = content.read(9)
    if file.suffix == ".safetensors" or (start[8:] == b"{" and int.from_bytes(start[:8], "little") < size):
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{_shown(file.name)} is no safetensors file: {_first_line(error)}") from error
    if zipfile.is_zipfile(file):
        _check_archive(file)
    try:
        with torch.serialization.safe_globals([*((_Inert, name) for name in _BESIDE), *_MAPPINGS]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(_describe_unreadable(file, error)) from error


def _describe_unreadable(file: Path, error: Exception) -> str:
    shown = _shown(file.name)
    remedy = "save only the weights: torch.save(model.state_dict(), ...), or as safetensors"
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named is None:
        return f"{shown} cannot be read as tensors only ({type(error).__name__}); {remedy}"
    name = _shown(named[1].rstrip("."))
    return (
        f"{shown} cannot be read as tensors only: it holds an object of {name}, and creating objects that a"
        f" file names may run code. Where you trust the file, {remedy}"
    )


def _check_archive(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise WeightsError(f"{_shown(file.name)} is a damaged archive: {_first_line(error)}") from error
    inner = {member.filename.partition("/")[2] for member in members}
    is_script = any(name.startswith("code/") for name in inner)
    if is_script or any(name.startswith("models/") or name == "archive_format" for name in inner):
        kind = "a TorchScript program" if is_script else "a program of torch.export"
        raise WeightsError(
            f"{_shown(file.name)} is {kind}: code with weights, which is not run. Save the weights alone:"
            " torch.save(model.state_dict(), ...)"
        )
    total = sum(member.file_size for member in members)
    packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    if len(members) > _MOST_MEMBERS or packed or total > file.stat().st_size:
        raise WeightsError(
            f"{_shown(file.name)} is rejected unopened: its {len(members):,} members unpack to {total:,}"
            f" bytes from a file of {file.stat().st_size:,}, {len(packed)} of them compressed; torch.save"
            " writes uncompressed members. Save the weights again with torch.save or as safetensors."
        )


# ---- names ----


@dataclass(frozen=True, eq=False)
class _Fit:
    """A set of tensors in a file, renamed to the names of a network, and how well it fits."""

    own: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    """Tensors by the network's names."""
    key: str
    """Keys below which the set is stored, joined by dots; empty for the top of the file."""
    level: int
    """Place of the key in the order of preference."""
    prefix: str
    """Prefix that was removed; "+" with a prefix that was added."""
    common: str
    """Longest prefix that all names of the set share."""
    is_averaged: bool
    heads: list[str]
    """Names of the network that may belong to its head."""
    clash: str
    """Two names of the file that become one, with different values; empty if there are none."""

    @classmethod
    def all_of(
        cls, own: Mapping[str, Tensor], heads: list[str], loaded: Any, rename: Callable[[str], str]
    ) -> list[_Fit]:
        """Return every set of tensors of a file under every prefix that makes a name of the network."""
        fits, num_names, added = [], 0, _added_parts(own)
        for key, level, tensors in _sets(loaded):
            cleaned: dict[str, Tensor] = {}
            first: dict[str, str] = {}
            clash = ""
            for name, value in tensors.items():
                short = rename(".".join(part for part in name.split(".") if part not in added))
                if short in cleaned and not _is_same(cleaned[short], value):
                    clash = f"it holds both {_shown(first[short])} and {_shown(name)}; save the one to load"
                cleaned[short] = value
                first[short] = name
            common = _common_prefix(tensors)
            # Lightning's WeightAveraging swaps the two: state_dict is the average.
            is_swapped = key == "state_dict" and "current_model_state" in loaded
            for prefix in _prefixes(own, cleaned):
                if (num_names := num_names + len(own) + len(cleaned)) > _MOST_NAMES:
                    raise WeightsError("the file holds too many sets of tensors; save model.state_dict()")
                if prefix.startswith("+"):
                    state = {prefix[1:] + name: value for name, value in cleaned.items()}
                else:
                    # Names outside the prefix belong to other modules: a loss, a metric, a counter of steps.
                    state = {n.removeprefix(prefix): v for n, v in cleaned.items() if n.startswith(prefix)}
                parts = {*key.split("."), *prefix.split(".")}
                is_averaged = is_swapped or _AVERAGING in tensors or not parts.isdisjoint(_AVERAGED)
                fits.append(cls(own, state, key, level, prefix, common, is_averaged, heads, clash))
        # Momentum and the like have the names of the weights, so unknown keys count only without known ones.
        known = [fit for fit in fits if fit.level < _UNKNOWN and (fit.key or own.keys() & fit.state.keys())]
        return known or fits

    @cached_property
    def missing(self) -> list[str]:
        given = {id(self.own[name]) for name in self.own.keys() & self.state.keys()}
        return [
            name
            for name, tensor in self.own.items()
            if name not in self.state and id(tensor) not in given and not name.endswith(_COUNTER)
        ]

    @cached_property
    def unexpected(self) -> list[str]:
        return [name for name in self.state if name not in self.own and name != _AVERAGING]

    @cached_property
    def mismatched(self) -> list[str]:
        both = self.own.keys() & self.state.keys()
        return [name for name in self.own if name in both and self.state[name].shape != self.own[name].shape]

    @cached_property
    def head(self) -> set[str]:
        """Names of the head and of auxiliary ones: layers of other sizes, which all differ in the same way.

        Where no size differs, the head is the last layer that may be one.
        """
        shapes = [(self.state[name].shape, self.own[name].shape) for name in self.mismatched]
        is_alike = len({(one[:1], two[:1]) for one, two in shapes}) == 1
        is_alike = is_alike and all(one[1:] == two[1:] for one, two in shapes)
        layers = {name.rpartition(".")[0] for name in self.mismatched}
        if not shapes:
            layers = set([n.rpartition(".")[0] for n in self.heads if self.own[n].dim() > 1][-1:])
        elif not is_alike:
            return set()
        return {name for name in self.heads if name.rpartition(".")[0] in layers}

    @property
    def num_fitting(self) -> int:
        return len(self.own.keys() & self.state.keys()) - len(self.mismatched)

    @property
    def place(self) -> str:
        return _shown(".".join(filter(None, (self.key, self.prefix.rstrip("."))))) or "the top of the file"

    def is_whole(self, skip_head: bool) -> bool:
        """Return whether all names and shapes agree, or all but those of the head."""
        if not skip_head:
            return not (self.missing or self.unexpected or self.mismatched)
        extra = {name.rpartition(".")[0] for name in self.unexpected}
        is_headless = bool(self.num_fitting) and len(extra) <= 1
        return is_headless and set(self.missing) <= self.head and set(self.mismatched) <= self.head

    def rank(self, skip_head: bool) -> tuple[bool, int, int, int]:
        return self.is_whole(skip_head), self.num_fitting, -self.level, -len(self.unexpected)

    def has_tensors_of(self, other: _Fit) -> bool:
        """Return whether two fits hold the same values, found by two ways."""
        names = self.own.keys() & self.state.keys()
        return names == self.own.keys() & other.state.keys() and all(
            _is_same(self.state[name], other.state[name]) for name in names
        )

    def explain(self) -> str:
        """Return what fits, what does not, and what would help."""
        shapes = [
            f"{_shown(name)} {tuple(self.state[name].shape)} for {tuple(self.own[name].shape)}"
            for name in self.mismatched
        ]
        missing, unexpected = list(map(_shown, self.missing)), list(map(_shown, self.unexpected))
        groups = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        found = [f"{_first_few(names)} {word}" for word, names in groups.items() if names]
        place = f"of those under {_shown(self.key)}, " if self.key else ""
        removed = f" without the prefix {_shown(self.prefix)}" if self.prefix.strip("+") else ""
        shared = f"; all names start with {_shown(self.common)}" if self.common else ""
        fitting = f"{self.num_fitting:,} of {len(self.own):,} tensors fit"
        words = f"{place}{fitting}{removed}{shared}; {'; '.join(found)}"
        if (self.missing or self.mismatched) and self.is_whole(skip_head=True):
            return f"{words}. Only the head differs: load all but the head (--skip-head)"
        return f"{words}. Check the network's name, number of classes and settings"


def _choose(fits: list[_Fit], ema: bool, file: Path) -> list[_Fit]:
    """Return the fits of the averaged or of the trained weights."""
    if not fits:
        raise WeightsError(
            f"{_shown(file.name)} holds no state dict, a mapping of names to tensors; save model.state_dict()"
        )
    chosen = [fit for fit in fits if fit.is_averaged == ema]
    if ema and not chosen:
        raise WeightsError(
            f"{_shown(file.name)} holds no averaged weights, such as {_AVERAGED[0]}; leave out --ema"
        )
    # A file that holds averaged weights only, such as the state of an AveragedModel, leaves no choice.
    return chosen or fits


_ORDER = (*_WRAPPERS, *_AVERAGED)
_UNKNOWN = len(_ORDER)


def _sets(loaded: Any) -> Iterator[tuple[str, int, dict[str, Tensor]]]:
    """Yield key, place in the order of preference and tensors of each set of weights in a file."""
    found: list[tuple[tuple[str, ...], Any]] = [((), loaded)]
    num_names = 0
    for keys, mapping in found:  # grows by the mappings inside
        if not isinstance(mapping, Mapping):
            continue
        if (num_names := num_names + len(mapping)) > _MOST_NAMES:
            raise WeightsError("the file holds too many mappings; save model.state_dict()")
        tensors = {name: v for name, v in mapping.items() if isinstance(name, str) and isinstance(v, Tensor)}
        if tensors:
            is_known = all(key in _ORDER for key in keys)
            yield ".".join(keys), (_ORDER.index(keys[-1]) if keys else -1) if is_known else _UNKNOWN, tensors
        if len(keys) < 2:
            found += [
                ((*keys, name), inner)
                for name, inner in mapping.items()
                if isinstance(name, str) and isinstance(inner, Mapping) and "optimizer" not in name
            ]


def _added_parts(own: Mapping[str, Tensor]) -> set[str]:
    """Return the parts of names that wrappers add, but for those that the network has itself."""
    return set(_TRANSPARENT) - {part for name in own for part in name.split(".")}


def _prefixes(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Return the prefixes whose removal (or, with a "+", addition) makes a name of the network."""
    found = {"": None}
    for mine in list(own)[:1] + list(own)[len(own) // 2 :][:1] + list(own)[-1:]:
        found |= {name.removesuffix(mine): None for name in state if name.endswith(f".{mine}")}
    for theirs in [*list(state)[:1], *list(state)[-1:]]:
        found |= {f"+{name.removesuffix(theirs)}": None for name in own if name.endswith(f".{theirs}")}
    return list(found)


def _common_prefix(names: Iterable[str]) -> str:
    paths = [name.split(".")[:-1] for name in names]
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return "".join(f"{parts[0]}." for parts in shared)


def _first_few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def _shown(name: str) -> str:
    """Return untrusted text on one line, shortened."""
    text = ascii(name)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."


def _first_line(error: Exception) -> str:
    return _shown(str(error).split("\n", 1)[0])


_GIT_TIMEOUT_S = 10.0


def describe_origin(source: NetworkSource, model: nn.Module) -> dict[str, Any]:
    """Return SHA-256 sums of the code and weights of `model`, and the git revision of a user's code.

    `sources` has a sum for each Python file that defines a class of the model or the callable that made it;
    torch's own files are identified by its version. `git` is `None` for code that is not the user's or not in
    a repository; `is_changed` says whether a tracked file differs from that revision.

    Args:
        source: Source of the network.
        model: Network built from it.
    """
    modules = {type(module).__module__ for module in model.modules()}
    if source.is_callable:
        modules.add(source.name.partition(":")[0])
    files = {name: file for name in sorted(modules) if (file := _file_of(name)) is not None}
    own = files.get(source.name.partition(":")[0])
    return {
        "sources": {name: _sum(file) for name, file in files.items()},
        "weights": _sum_of_weights(source.weights),
        "git": _git_revision(own.parent) if source.is_callable and own is not None else None,
    }


def _sum_of_weights(weights: str | None) -> str | dict[str, str] | None:
    """Return the sum of a file, or those of an index and its shards; published weights keep their name."""
    if weights is None or is_published(weights):
        return weights
    sums = {file.name: _sum(file) for file in weight_files(weights)}
    return sums if len(sums) > 1 else next(iter(sums.values()))


def _file_of(module: str) -> Path | None:
    if module.partition(".")[0] == "torch":
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git_revision(folder: Path) -> dict[str, Any] | None:
    """Return the revision checked out around `folder`; `None` without a repository or git."""
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "is_changed": bool(changes)}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_GIT_TIMEOUT_S,
        check=True,
    ).stdout.strip()
