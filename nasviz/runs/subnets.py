"""Saved sub-networks that other runs start from, stored in the runs folder.

The folder `.subnets` stores them by content, so that a run which trains a sub-network, or searches in it,
does not depend on the run that has created it. Runs refer to theirs relative to the runs folder, so a copy of
that folder on another machine is self-contained.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.catalog.user_modules import resolved
from nasviz.checksums import CHECKSUMS, manifest
from nasviz.errors import NasvizError, WeightsError
from nasviz.guarded_files import is_regular, read_regular
from nasviz.runs.files import CONFIG, SUBNET, TRASH, make_folder, read_table, write_bytes, write_json
from nasviz.runs.storage import translate_errors
from nasviz.settings import RunSettings

__all__ = [
    "SUBNETS",
    "find_subnet",
    "is_subnet",
    "keep_subnet",
    "located",
    "origin_of",
    "placeless",
    "portable",
]

SUBNETS = ".subnets"
FILES = ("graph.json", "weights.safetensors")
_ORIGIN = "origin.json"
_KEY = re.compile(r"[0-9a-f]{32}")


def is_subnet(folder: Path) -> bool:
    """Return whether `folder` contains a saved sub-network."""
    return all(is_regular(folder / name) for name in FILES)


def keep_subnet(place: Path, source: NetworkSource, *, run_id: str | None = None) -> NetworkSource:
    """Copy a saved sub-network into the runs folder unless it is there, and return the source of the copy.

    Args:
        place: Runs folder.
        source: Source of the sub-network; any other source is returned unchanged.
        run_id: Id of the run that it comes from; looked up if None.

    Raises:
        WeightsError: The sub-network is gone.
    """
    if source.subnet is None or Path(source.subnet).parent == place / SUBNETS:
        return source
    folder = Path(source.subnet)
    folder = folder.parent.resolve() / folder.name
    if not is_subnet(folder):
        raise WeightsError(f"no sub-network in {folder}: it was deleted; construct it again")
    origin = {"name": source.name, "run": run_id or origin_of(source)}
    contents = [read_regular(folder / name) for name in FILES]
    key = hashlib.sha256(json.dumps(origin).encode())
    for content in contents:
        key.update(content)
    target = place / SUBNETS / key.hexdigest()[:32]
    if not target.is_dir():
        staged = target.with_name(f".new-{secrets.token_hex(6)}")
        with translate_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        make_folder(staged.parent)
        make_folder(staged)
        for name, content in zip(FILES, contents, strict=True):
            write_bytes(staged / name, content)
        write_bytes(staged / CHECKSUMS, manifest(dict(zip(FILES, contents, strict=True))))
        write_json(staged / _ORIGIN, origin)
        try:
            staged.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(staged)
    return replace(source, subnet=str(target))


def portable(place: Path, settings: RunSettings) -> dict[str, Any]:
    """Return settings as JSON data for the runs folder, with a relative path for a sub-network stored there.

    Paths of trusted folders become absolute: a relative one would mean a different folder for each process.

    Args:
        place: Runs folder.
        settings: Settings of a run in it.
    """
    subnet = settings.network.subnet
    if subnet is not None and Path(subnet).parent == place / SUBNETS:
        settings = _with_subnet(settings, f"{SUBNETS}/{Path(subnet).name}")
    network = settings.network
    if network.graph is not None:
        network = replace(network, graph=".")
    if network.trust:
        network = replace(network, trust=_absolute(network.trust))
    if settings.is_watched:
        return settings.model_copy(update={"network": network}).to_json()
    return settings.changed(network=network, trust=_absolute(settings.trust)).to_json()


def _absolute(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(resolved(folder)) for folder in folders)


def located(place: Path, settings: Mapping[str, Any], own: Path | None = None) -> RunSettings:
    """Return the settings that `portable` wrote, with the current path of a stored sub-network.

    Earlier versions wrote absolute paths. They are used if they exist; otherwise the copy in `place` is.

    Args:
        place: Runs folder, or its trash.
        settings: JSON data.
        own: Folder of the run: that of the graph of a watched one, whatever is written.

    Raises:
        InvalidSettingError: A setting is unknown or out of range.
    """
    found = RunSettings.from_json(settings)
    subnet = found.network.subnet
    if own is not None and found.is_watched:
        return found.model_copy(update={"network": replace(found.network, graph=str(own))})
    if subnet is None or (written := Path(subnet)).parent.name != SUBNETS:
        return found
    if written.is_absolute() and is_subnet(written):
        return found
    home = place.parent if place.name == TRASH else place
    return _with_subnet(found, str(home / SUBNETS / written.name))


def placeless(settings: RunSettings) -> RunSettings:
    """Return `settings` with the key of the sub-network instead of its path, to compare across machines."""
    subnet = settings.network.subnet
    return settings if subnet is None else _with_subnet(settings, Path(subnet).name)


def _with_subnet(settings: RunSettings, subnet: str) -> RunSettings:
    return settings.changed(network=replace(settings.network, subnet=subnet))


def find_subnet(place: Path, key: str) -> NetworkSource:
    """Return the stored sub-network with this key, which is the name of its folder.

    Raises:
        WeightsError: There is none.
    """
    folder = place / SUBNETS / key
    if not _KEY.fullmatch(key) or not is_subnet(folder):
        raise WeightsError(f"no sub-network {key[:40]!r} is stored; open it again from the page Sub-network")
    name = (read_table(folder / _ORIGIN) or {}).get("name")
    return NetworkSource(str(name), subnet=str(folder))


def origin_of(source: NetworkSource) -> str | None:
    """Return the id of the run that a sub-network comes from; None if unknown, or for other sources."""
    if source.subnet is None:
        return None
    folder = Path(source.subnet)
    try:
        known = (read_table(folder / _ORIGIN) or {}).get("run")
    except NasvizError:
        return None
    if known is None and folder.name == SUBNET and is_regular(folder.parent / CONFIG):
        known = folder.parent.name
    return known if isinstance(known, str) else None
