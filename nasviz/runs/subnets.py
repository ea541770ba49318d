"""Sub-networks that became networks of their own: kept beside the runs, with the run that they come from.

A folder `.subnets` holds them by content, so that a run which trains one, or searches in one, outlives the
run that has left it. Runs name theirs as seen from the folder of the runs, so that a copy of that folder on
another machine holds all that its runs need.
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
from nasviz.runs.storage import told
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
    """Whether a saved sub-network lies in this folder."""
    return all(is_regular(folder / name) for name in FILES)


def keep_subnet(place: Path, source: NetworkSource, *, run_id: str | None = None) -> NetworkSource:
    """Copy a saved sub-network to `place`, where it is not there yet; the source that names the copy.

    Args:
        place: Folder of the runs.
        source: Names the folder of the sub-network; any other source is returned as it is.
        run_id: The run that it comes from; found out where it is left out.

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
        beside = target.with_name(f".new-{secrets.token_hex(6)}")
        with told(place):
            place.mkdir(parents=True, exist_ok=True)
        make_folder(beside.parent)
        make_folder(beside)
        for name, content in zip(FILES, contents, strict=True):
            write_bytes(beside / name, content)
        write_bytes(beside / CHECKSUMS, manifest(dict(zip(FILES, contents, strict=True))))
        write_json(beside / _ORIGIN, origin)
        try:
            beside.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(beside)
    return replace(source, subnet=str(target))


def portable(place: Path, settings: RunSettings) -> dict[str, Any]:
    """Settings as they are written into a folder of runs: a sub-network kept there has no absolute path.

    Trusted folders have one: a name that means another folder wherever a process stands is no permission.

    Args:
        place: The folder of the runs.
        settings: Of one of them.
    """
    subnet = settings.network.subnet
    if subnet is not None and Path(subnet).parent == place / SUBNETS:
        settings = _with_subnet(settings, f"{SUBNETS}/{Path(subnet).name}")
    network = settings.network
    if network.trust:
        network = replace(network, trust=_placed(network.trust))
    return settings.changed(network=network, trust=_placed(settings.trust)).to_json()


def _placed(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(resolved(folder)) for folder in folders)


def located(place: Path, settings: Mapping[str, Any]) -> RunSettings:
    """The settings that `portable` wrote, with the path that a kept sub-network has now.

    Earlier versions wrote absolute paths: they hold; where they lead nowhere, the copy in `place` is meant.

    Args:
        place: The folder of the runs, or its trash.
        settings: Plain data.

    Raises:
        InvalidSettingError: Something is unknown here, or out of its range.
    """
    found = RunSettings.from_json(settings)
    subnet = found.network.subnet
    if subnet is None or (written := Path(subnet)).parent.name != SUBNETS:
        return found
    if written.is_absolute() and is_subnet(written):
        return found
    home = place.parent if place.name == TRASH else place
    return _with_subnet(found, str(home / SUBNETS / written.name))


def placeless(settings: RunSettings) -> RunSettings:
    """The same with the key of its sub-network in place of a path: equal wherever the runs lie."""
    subnet = settings.network.subnet
    return settings if subnet is None else _with_subnet(settings, Path(subnet).name)


def _with_subnet(settings: RunSettings, subnet: str) -> RunSettings:
    return settings.changed(network=replace(settings.network, subnet=subnet))


def find_subnet(place: Path, key: str) -> NetworkSource:
    """The kept sub-network of this key: the name of its folder.

    Raises:
        WeightsError: None is kept under it.
    """
    folder = place / SUBNETS / key
    if not _KEY.fullmatch(key) or not is_subnet(folder):
        raise WeightsError(
            f"no sub-network {key[:40]!r} is kept here; open it again from the page Sub-network"
        )
    name = (read_table(folder / _ORIGIN) or {}).get("name")
    return NetworkSource(str(name), subnet=str(folder))


def origin_of(source: NetworkSource) -> str | None:
    """Id of the run whose sub-network a source is; None for other sources, and where nobody knows."""
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
