"""Settings from configuration files and earlier runs, and their JSON schema."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

from pydantic import TypeAdapter

from nasviz.errors import InvalidSettingError
from nasviz.settings.method import METHODS
from nasviz.settings.migration import migrated
from nasviz.settings.run import RunSettings

__all__ = ["read_settings", "schema"]

_CONFIG = "config.json"
_MAX_BYTES = 1_000_000
_IGNORED = ("trust", "trained_epochs", "trained_steps")
"""Never taken from a file: only the operator grants trust, and a new run does not continue another one."""
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")


def read_settings(path: Path) -> dict[str, Any]:
    r"""Return the settings in a file by flat names, for `RunSettings.of`, without validating them.

    Args:
        path: YAML, TOML or JSON file with flat names, or with an object `method` that has a name and
            settings; or the folder or config.json of a run, including runs of nasviz 0.1.

    Raises:
        InvalidSettingError: The file cannot be read.

    Examples:
        >>> from tempfile import mkdtemp
        >>> file = Path(mkdtemp(), "run.toml")
        >>> _ = file.write_text('network = "demonet"\nmethod = "gsparsity"\nmu = 2.0')
        >>> read_settings(file)
        {'network': 'demonet', 'method': 'gsparsity', 'mu': 2.0}
    """
    file = path / _CONFIG if path.is_dir() else path
    document = _read(file)
    if isinstance(document.get("settings"), Mapping):  # config.json of a run
        document = migrated(document["settings"], RunSettings.model_fields)
    found = {name: value for name, value in document.items() if name not in _IGNORED}
    if isinstance(found.get("network"), Mapping):
        found["network"] = {name: v for name, v in found["network"].items() if name != "trust"}
        if subnet := found["network"].get("subnet"):  # relative to the runs folder
            found["network"]["subnet"] = str(file.resolve().parent.parent / str(subnet))
    method = found.pop("method", None)
    if isinstance(method, Mapping):
        found |= {"method" if name == "name" else name: value for name, value in method.items()}
    elif method is not None:
        found["method"] = method
    order = [name for name in ("network", "method") if name in found]
    return {name: found[name] for name in [*order, *(n for n in found if n not in order)]}


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and not file.is_file():  # reading a pipe may block, a device may be endless
            raise InvalidSettingError(f"{file} is not a regular file, so it cannot be read as settings")
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidSettingError(f"{file} is too large for settings: more than {_MAX_BYTES:,} bytes")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingError(f"{file} cannot be read as settings: {error}") from error
    try:
        if file.suffix == ".toml":
            document = tomllib.loads(text)
        elif file.suffix in (".yaml", ".yml"):
            document = _from_yaml(text)
        else:
            document = json.loads(text)
    except (ValueError, RecursionError) as error:
        kinds = "JSON, or YAML or TOML with the extension .yaml or .toml"
        raise InvalidSettingError(f"{file} cannot be read as settings: {error}; write {kinds}") from error
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise InvalidSettingError(f"{file} holds no settings by name, such as `network: demonet`")
    return document


def _from_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Loader that reads 1e-3 as a number, as YAML 1.2 does; in YAML 1.1, and PyYAML, it is text."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of the settings of a run, e.g. for completion in editors.

    Examples:
        >>> sorted(schema()["properties"]["method"]["discriminator"]["mapping"])[:3]
        ['darts', 'dhspg', 'gsparsity']
    """
    found = RunSettings.model_json_schema()
    methods = TypeAdapter(Union[tuple(METHODS.values())]).json_schema()  # type: ignore[arg-type]  # noqa: UP007
    names = {name: f"#/$defs/{kind.__name__}" for name, kind in METHODS.items()}
    found["$defs"] = methods.pop("$defs")
    for table in (found, *found["$defs"].values()):
        table["description"] = str(table.get("description", "")).partition("\n\n")[0]
    found["properties"]["method"] = {
        "title": "Search method",
        "oneOf": [{"$ref": place} for place in names.values()],
        "discriminator": {"propertyName": "name", "mapping": names},
        "default": {"name": next(iter(METHODS))},
    }
    found["properties"]["network"] = {
        "title": "Network",
        "description": "Name of a network, or an object with a name and further entries.",
        "anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}],
    }
    return found
