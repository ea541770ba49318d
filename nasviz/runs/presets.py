"""Sweeps that repeat published tables, and the row of the table that a result belongs to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasviz.catalog import DATASETS, IMAGE_FOLDER, NetworkSource
from nasviz.catalog.presets import Preset, Row
from nasviz.catalog.stages import SECOND_STAGES, SMALL_STAGE
from nasviz.errors import InvalidSettingError
from nasviz.runs.aggregating import Cell
from nasviz.runs.grid import NETWORK_PREFIX, Axis, axis, settings_of
from nasviz.runs.sweep import FIRST_TRAINING, STAGE, SweepSettings
from nasviz.settings import METHODS, RunSettings, laid_over
from nasviz.settings.run import RUN

__all__ = [
    "STAND_IN",
    "data_name",
    "is_stand_in",
    "not_printed",
    "preset_sweep",
    "row_of",
    "what_differs",
]

PLACES = ("data", "data_folder")
"""Settings that say where the data are."""
STAND_IN = "digits"
"""Data set that is included with nasviz."""


def data_name(printed: str) -> str:
    """Return the catalog name of a data set given by its printed name.

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
    """Return the sweep that repeats a published table.

    Args:
        preset: The table.
        data: "published" for the data set of the document, or "digits" as a small replacement.
        data_folder: Folder of the published data set.
        changes: Settings of all runs that override those of the preset.
        axes: Additional axes; one that varies the seed replaces the preset's axis over seeds.

    Raises:
        InvalidSettingError: nasviz cannot read the data set, or the settings of a run are invalid.
    """
    if data not in (STAND_IN, "published"):
        raise InvalidSettingError(f"data={data!r} is not available for a preset; choose digits or published")
    is_published = data == "published"
    shared = dict(preset.base) | ({"data_folder": data_folder} if is_published else dict(preset.stand_in))
    if is_published and "," not in preset.data and " and " not in preset.data:
        shared["data"] = _readable(preset.data)
    shared = laid_over(shared, changes or {})
    network = shared.pop("network", {"name": preset.network})
    base = RunSettings.of(network=network, **shared)
    own = [_changes(row, preset, is_published, changes or {}) for row in preset.rows]
    varied = {name for points in axes for point in points for name in point}
    seeds = () if "seed" in varied else (axis("seed", preset.seeds),)
    title = preset.title if is_published else f"{preset.title} (digits stand in for {preset.data})"
    lines = (tuple(own),) if any(own) else ()  # empty if `changes` override all differences
    then = SECOND_STAGES.get(preset.name, ())
    small = (SMALL_STAGE,) if then else ()
    return SweepSettings(
        base, (*lines, *axes, *seeds), title, preset.name, then=then if is_published else small
    )


def row_of(preset: Preset, settings: SweepSettings, cell: Cell) -> Row | None:
    """Return the row of the published table that a result belongs to, or None if that is ambiguous."""
    if settings.then and cell.point.get(STAGE) != FIRST_TRAINING:
        return None  # the figures are printed for the network that is trained
    return _row_with(preset, cell.point)


def _row_with(preset: Preset, point: Mapping[str, Any]) -> Row | None:
    """Return the only row with these changes."""
    fitting = []
    for row in preset.rows:
        shared = {name: value for name, value in row.changes.items() if name in point}
        if shared and all(_same(point[name], value) for name, value in shared.items()):
            fitting.append(row)
    if len(fitting) > 1:  # rows with one network at several sizes
        source = point.get("network")
        fitting = [row for row in fitting if source in (row.changes.get("network"), row.small)]
    # Several rows fit if `changes` override the settings that distinguish them.
    return fitting[0] if len(fitting) == 1 else None


def is_stand_in(preset: Preset, settings: SweepSettings) -> bool:
    """Return whether a sweep uses the replacement data instead of the published data set."""
    return settings.base.data == STAND_IN and not any("data" in p for p in settings.points)


def what_differs(preset: Preset, settings: SweepSettings) -> str:
    """Return a sentence on how a sweep differs from the document, apart from the data; empty if it does not.

    Every setting of a run that can change its result is compared with that of its row, except for those that
    the document does not print.

    Examples:
        >>> from nasviz.catalog import find_preset
        >>> preset = find_preset("h2spg_against_dhspg")
        >>> what_differs(preset, preset_sweep(preset, data="published", changes={"epochs": 4}))
        'Different here: epochs 4 instead of 50.'
    """
    words: dict[str, None] = {}
    for row, run in _runs_of_rows(preset, settings, every=True):
        words |= dict.fromkeys(_differences(preset, run, _published(preset, row)))
    stages = SECOND_STAGES.get(preset.name, ())
    for place, (stage, own) in enumerate(itertools.zip_longest(stages, settings.then)):
        where = f"in stage {place + 2}"
        if own is None:
            words[f"nothing {where}"] = None
        elif stage is None:
            words[f"a stage {place + 2} that is not published"] = None
        else:
            words |= dict.fromkeys(f"{text} {where}" for text in _stage_differences(settings, stage, own))
    if preset.retraining:
        found = (f"{_title(settings.base, n)} {_format(v)}" for n, v in preset.retraining.items())
        words[f"no training of the found network afterwards (published: {', '.join(found)})"] = None
    return f"Different here: {'; '.join(words)}." if words else ""


def not_printed(preset: Preset, settings: SweepSettings) -> str:
    """Return a sentence with the settings that the document does not print, and what they are here.

    Examples:
        >>> from nasviz.catalog import find_preset
        >>> preset = find_preset("sidt")
        >>> not_printed(preset, preset_sweep(preset, data="published"))
        'Not printed: ours: lambda: weight of the auxiliary copy 10; beta: coupling strength 10; ...
    """
    runs = [run for _, run in _runs_of_rows(preset, settings)]
    words = []
    for name in preset.ours:
        holders = [run for run in runs if _value(run, name) is not None]
        values = dict.fromkeys(_format(_value(run, name)) for run in holders)
        if values:
            words.append(f"{_title(holders[0], name)} {' or '.join(values)}")
    return f"Not printed: ours: {'; '.join(words)}." if words else ""


def _runs_of_rows(
    preset: Preset, settings: SweepSettings, *, every: bool = False
) -> list[tuple[Row, RunSettings]]:
    """Return for each row the settings of its runs.

    Args:
        preset: The table.
        settings: The sweep.
        every: Whether to add a run for each point of further axes, with its first row.
    """
    lines: Axis = next(iter(settings.axes), ())
    others = settings.axes[1:]
    # A sweep may be of a version with fewer rows, or in another order; where some of what tells the rows
    # apart is overridden, their order alone tells.
    is_whole = len(lines) == len(preset.rows) and not all("seed" in point for point in lines)
    places = preset.rows if is_whole else (None,) * len(lines)
    found = ((_row_with(preset, line) or row, line) for row, line in zip(places, lines, strict=True))
    points = [(row, line) for row, line in found if row is not None]
    if not points:  # all of it is overridden
        points, others = [(row, {}) for row in preset.rows], settings.axes
    further = [point for points_ in others for point in points_ if set(point) - {"seed"}] if every else []
    first, line = points[0]
    points += [(first, laid_over(line, point)) for point in further]
    return [(row, settings_of(settings.base, point)) for row, point in points]


def _published(preset: Preset, row: Row) -> RunSettings:
    """Return the settings of a row as the document has them, apart from the data."""
    base = {"network": {"name": preset.network}} | dict(preset.base)
    return settings_of(RunSettings.of(**base), row.changes)


def _differences(preset: Preset, run: RunSettings, published: RunSettings) -> Iterator[str]:
    """Yield how a run differs from the published one."""
    if text := _network_difference(run.network, published.network):
        yield text
    fields = run.fields()
    common = [name for name, field in fields.items() if field.group != RUN and name not in PLACES]
    if run.method.name != published.method.name:
        yield f"{run.method.title} instead of {published.method.title}"
    own = [name for name in published.method.fields() if run.method.has(name)]
    for name in (*own, *common):
        actual, wanted = _value(run, name), _value(published, name)
        if name in preset.ours or actual == wanted or name in ("steps", "train_images"):
            continue
        if name == "epochs" and run.steps:
            continue
        yield f"{_title(run, name)} {_format(actual)} instead of {_format(wanted)}"
    if run.steps:
        yield f"{run.length} instead of {published.length}"
    if run.train_images:
        yield f"{run.train_images:,} training images instead of all"


def _stage_differences(
    settings: SweepSettings, stage: Mapping[str, Any], own: Mapping[str, Any]
) -> Iterator[str]:
    """Yield how a second stage differs from the published one."""
    for name in dict.fromkeys((*stage, *own)):
        if (actual := own.get(name)) != (wanted := stage.get(name)):
            short = name.removeprefix(NETWORK_PREFIX)
            title = short if short != name else _title(settings.base, name)
            yield f"{title} {_format(actual)} instead of {_format(wanted)}"


def _value(run: RunSettings, name: str) -> Any:
    """Return a setting as the run uses it; None if its method has no such setting."""
    return run.rate_schedule if name == "lr_schedule" else run.value(name)


def _network_difference(here: NetworkSource, published: NetworkSource) -> str:
    """Return how a network differs from the published one."""
    if here.name != published.name:
        return f"{here.title} in place of {published.title}"
    if here.entry is None:
        return ""
    ours, theirs = (here.entry.complete(dict(source.settings)) for source in (here, published))
    words = [f"weights {here.weights}"] if here.weights != published.weights else []
    words += [
        f"{name} {_format(ours[name])} instead of {_format(theirs[name])}"
        for name in ours
        if ours[name] != theirs[name]
    ]
    if here.input_shape not in (None, published.input_shape):
        words.append("images of " + " x ".join(map(str, here.input_shape[1:])))
    return f"{here.title} with {', '.join(words)}" if words else ""


def _title(settings: RunSettings, name: str) -> str:
    """Return the label of a setting, in lower case for use in a sentence."""
    holders = (type(settings), type(settings.method), *METHODS.values())
    found = next((kind.fields()[name] for kind in holders if name in kind.fields()), None)
    return name if found is None else found.title.lower()


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _changes(row: Row, preset: Preset, is_published: bool, changes: Mapping[str, Any]) -> dict[str, Any]:
    over = changes if is_published else laid_over(preset.stand_in, changes)
    own = {name: value for name, value in row.changes.items() if name not in over or name == "network"}
    if over.get("steps"):
        own.pop("epochs", None)
    if is_published:
        return own | ({"data": _readable(row.data)} if row.data else {})
    return own | ({} if row.small is None else {"network": row.small})


def _readable(printed: str) -> str:
    name = data_name(printed)
    if name not in DATASETS:
        raise InvalidSettingError(
            f"the document uses {printed}, which nasviz cannot read; run the preset on digits instead"
            f" (available data sets: {', '.join(DATASETS)})"
        )
    return name


def _same(found: Any, wanted: Any) -> bool:
    """Compare two values; networks compare by name, because a replacement may be smaller."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.get("name") == wanted.get("name")
    return bool(found == wanted) and type(found) is type(wanted)
