"""From a published table to a sweep: the settings of its runs, and which of its lines a result belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasviz.catalog import DATASETS, IMAGE_FOLDER, NetworkSource
from nasviz.catalog.presets import Preset, Row
from nasviz.errors import InvalidSettingError
from nasviz.runs.aggregating import Cell
from nasviz.runs.grid import Axis, axis
from nasviz.runs.sweep import SweepSettings
from nasviz.settings import RunSettings

__all__ = ["STAND_IN", "data_name", "is_stand_in", "preset_sweep", "row_of", "what_differs"]

STAND_IN = "digits"
"""The data set that comes with nasviz."""


def data_name(printed: str) -> str:
    """Name in the catalog of a data set as people call it.

    Examples:
        >>> data_name("CIFAR-10"), data_name("Fashion-MNIST"), data_name("ImageNet")
        ('cifar10', 'fashion_mnist', 'image_folder')
    """
    if printed.startswith("ImageNet"):
        return IMAGE_FOLDER
    name = printed.lower().replace("-", "_").replace(" ", "_")
    return name.replace("cifar_", "cifar").replace("stl_", "stl")


def preset_sweep(
    preset: Preset,
    *,
    data: str = STAND_IN,
    data_folder: str | None = None,
    changes: Mapping[str, Any] | None = None,
    axes: Sequence[Axis] = (),
) -> SweepSettings:
    """The sweep that repeats a published table.

    Args:
        preset: The table.
        data: "digits" lets these stand in for the data set of the document; "published" takes that one.
        data_folder: Where it lies.
        changes: Settings that all runs take instead of those of the preset.
        axes: Take the place of the axis over seeds where they vary the seed, else come beside it.

    Raises:
        InvalidSettingError: nasviz cannot read the data set, or a run cannot be.
    """
    if data not in (STAND_IN, "published"):
        raise InvalidSettingError(f"data={data!r} was asked for, but a preset takes digits or published")
    is_published = data == "published"
    shared = dict(preset.base) | ({"data_folder": data_folder} if is_published else dict(preset.stand_in))
    if is_published and "," not in preset.data and " and " not in preset.data:
        shared["data"] = _readable(preset.data)
    shared |= dict(changes or {})
    network = shared.pop("network", {"name": preset.network})
    base = RunSettings.of(network=network, **shared)
    own = [_changes(row, preset, is_published, changes or {}) for row in preset.rows]
    varied = {name for points in axes for point in points for name in point}
    seeds = () if "seed" in varied else (axis("seed", preset.seeds),)
    title = preset.title if is_published else f"{preset.title} (digits stand in for {preset.data})"
    lines = (tuple(own),) if any(own) else ()  # where a person has set what is all there is to a line
    return SweepSettings(base, (*lines, *axes, *seeds), title, preset.name)


def row_of(preset: Preset, cell: Cell) -> Row | None:
    """The line of the published table that a result belongs to."""
    fitting = []
    for row in preset.rows:
        shared = {name: value for name, value in row.changes.items() if name in cell.point}
        if shared and all(_same(cell.point[name], value) for name, value in shared.items()):
            fitting.append(row)
    # Where a person has set what tells the lines apart, a result belongs to none.
    return fitting[0] if len(fitting) == 1 else None


def is_stand_in(preset: Preset, settings: SweepSettings) -> bool:
    """Whether a sweep was run on other data than the published table."""
    return settings.base.data == STAND_IN and not any("data" in p for p in settings.points)


def what_differs(preset: Preset, settings: SweepSettings) -> str:
    """What else differs from the document in a sweep on other data, as a sentence; empty where nothing does.

    Examples:
        >>> from nasviz.catalog import find_preset
        >>> preset = find_preset("super_networks")
        >>> what_differs(preset, preset_sweep(preset, data="published", changes={"epochs": 4}))
        'Different here: epochs 4 instead of 50.'
    """
    own = {source["name"]: source for row in preset.rows if (source := row.changes.get("network"))}
    shared = own.get(preset.network) or preset.base.get("network", {"name": preset.network})
    found = [point["network"] for points in settings.axes for point in points if "network" in point]
    sources = dict.fromkeys(map(NetworkSource.from_json, found)) or {settings.base.network: None}
    words = [_of_network(source, NetworkSource.from_json(own.get(source.name, shared))) for source in sources]
    for name, wanted in preset.base.items():
        actual = settings.base.value(name)
        if isinstance(wanted, int | float | str) and actual is not None and actual != wanted:
            words.append(f"{_title(settings.base, name)} {_shown(actual)} instead of {_shown(wanted)}")
    words = [text for text in words if text]
    return f"Different here: {'; '.join(words)}." if words else ""


def _of_network(here: NetworkSource, published: NetworkSource) -> str:
    """What tells a network from that of the document."""
    if here.name != published.name:
        return f"{here.title} in place of {published.title}"
    if here.entry is None:
        return ""
    ours, theirs = (here.entry.complete(dict(source.settings)) for source in (here, published))
    words = [
        f"{name} {_shown(ours[name])} instead of {_shown(theirs[name])}"
        for name in ours
        if ours[name] != theirs[name]
    ]
    if here.input_shape not in (None, published.input_shape):
        words.append("images of " + " x ".join(map(str, here.input_shape[1:])))
    return f"{here.title} with {', '.join(words)}" if words else ""


def _title(settings: RunSettings, name: str) -> str:
    """Return the label of a setting as it stands inside a sentence."""
    field = (settings.fields() | settings.method.fields()).get(name)
    return name if field is None else field.title.lower()


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _changes(row: Row, preset: Preset, is_published: bool, changes: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in row.changes.items() if name not in changes or name == "network"}
    if is_published:
        return own | ({"data": _readable(row.data)} if row.data else {})
    return own | ({} if row.small is None else {"network": row.small})


def _readable(printed: str) -> str:
    name = data_name(printed)
    if name not in DATASETS:
        raise InvalidSettingError(
            f"the document uses {printed}, which nasviz does not read yet; run the preset on digits, which"
            f" stand in for it (known data: {', '.join(DATASETS)})"
        )
    return name


def _same(found: Any, wanted: Any) -> bool:
    """Networks are the same by name: one that stands in may be smaller."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.get("name") == wanted.get("name")
    return bool(found == wanted) and type(found) is type(wanted)
