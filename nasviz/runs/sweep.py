"""A sweep: a grid of settings whose points are ordinary runs.

The folder of a sweep lies in `.sweeps` of the runs folder and holds the grid. The id of each run follows from
the id of the sweep and the index in the grid, so there is no state to keep in sync: the runs left to do are
those whose folders do not show that they are done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from nasviz.catalog import DATASETS, NetworkSource
from nasviz.catalog.genotype import is_genotype
from nasviz.errors import DataError, InvalidSettingError, NasvizError, RunNotFoundError, RunStateError
from nasviz.runs import lock
from nasviz.runs.bisection import Bisection, BisectionSettings, Trial
from nasviz.runs.documents import is_table, is_time, or_none
from nasviz.runs.files import CONFIG, PID, has_config, is_file, read_table, require_folder
from nasviz.runs.grid import NETWORK_PREFIX, Axis, Point, expand, settings_of
from nasviz.runs.labels import Labels, read_labels, write_labels
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.marks import is_marked
from nasviz.runs.median_rule import read_verdict
from nasviz.runs.requests import forget_request, read_request, write_request
from nasviz.runs.run import Run
from nasviz.runs.storage import as_damage
from nasviz.runs.subnets import located, placeless
from nasviz.settings import RunSettings, is_flat, migrated_axes

__all__ = [
    "FIRST_TRAINING",
    "STAGE",
    "SWEEPS",
    "Sweep",
    "SweepSettings",
    "SweepState",
    "is_at_work",
    "is_over",
]

SWEEPS = ".sweeps"
FIRST_TRAINING = "training"
STAGE = "stage"
"""Name in a point that tells a second stage from the run before it."""
SweepState = Literal["created", "running", "stopped", "done"]
OVER = ("done", "failed")
"""End states of runs that a sweep does not start again, unless failed runs are to be retried."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Settings of a sweep. The settings of every run are validated on creation.

    Raises:
        InvalidSettingError: The grid has no runs, too many, duplicates, or one with invalid settings.

    Examples:
        >>> from nasviz.runs.grid import parse_axis
        >>> base = RunSettings(network=NetworkSource("demonet"))
        >>> sweep = SweepSettings(base, (parse_axis("target_sparsity=1,2"), parse_axis("seed=0..2")))
        >>> [(run.value("target_sparsity"), run.seed) for run in sweep.runs]
        [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
        >>> SweepSettings.from_json(sweep.to_json()) == sweep
        True
    """

    base: RunSettings
    """Settings shared by all runs."""
    axes: tuple[Axis, ...] = ()
    title: str = ""
    preset: str | None = None
    """Catalog name of the published table that the sweep repeats."""
    bisection: BisectionSettings | None = None
    """Sequential search for the mu that leaves a target number of groups, instead of axes."""
    stop_hopeless: bool = False
    """True if runs are stopped by the median rule; see `nasviz.runs.median_rule`."""
    then: tuple[Mapping[str, Any], ...] = ()
    """Second stages: after each run, a larger network of the genotype that it has found is trained with these
    settings, by flat names; `set.NAME` is a setting of that network. Several are several trainings, such as
    on another data set."""

    def __post_init__(self) -> None:
        plain = tuple(tuple(_plain(point) for point in points) for points in self.axes)
        object.__setattr__(self, "axes", plain)
        if self.base.is_watched:
            raise InvalidSettingError(
                "the settings are those of a loop recorded by nasviz.watch, which only its own code can"
                " train; choose a network of the catalog or of your own for a sweep"
            )
        if self.bisection is not None and self.axes:
            raise InvalidSettingError("a bisection chooses the values of mu itself; remove the grid")
        object.__setattr__(self, "then", tuple(_plain(stage) for stage in self.then))
        if self.then and self.bisection is not None:
            raise InvalidSettingError("a bisection has no second stage; train its result in a sweep")
        for number in range(len(self.then)):
            self.training(self.runs[0], None, number)
        texts = [json.dumps(run.to_json(), sort_keys=True) for run in self.runs]
        if len(set(texts)) < len(texts):
            twice = next(point for i, point in enumerate(self.points) if texts[i] in texts[:i])
            raise InvalidSettingError(f"the grid contains the same run twice, at {dict(twice)}; remove one")

    @property
    def points(self) -> tuple[Point, ...]:
        """Point of each run, in grid order; only the first one for a bisection."""
        if self.bisection is not None:
            return ({"mu": self.bisection.grid[0]},)
        return expand(self.axes)

    @property
    def runs(self) -> tuple[RunSettings, ...]:
        """Settings of each run.

        Raises:
            InvalidSettingError: Settings are invalid; the message names the point.
        """
        found = []
        for point in self.points:
            try:
                found.append(settings_of(self.base, point))
            except InvalidSettingError as error:
                where = ", ".join(f"{name}={value}" for name, value in point.items())
                raise InvalidSettingError(f"at {where or 'its base'}: {error}") from error
        return tuple(found)

    def training(self, search: RunSettings, genotype: str | None, number: int) -> RunSettings:
        """Return the settings of a second stage.

        Args:
            search: Settings of the run of the first stage.
            genotype: What it has found; None for any.
            number: Which of `then`.

        Raises:
            InvalidSettingError: The settings are invalid; or name user code that the search does not.
        """
        stage = dict(self.then[number])
        data = stage.get("data", search.data)
        if data not in (search.data, *DATASETS):
            raise InvalidSettingError(f"data={data!r}: a second stage takes a data set of the catalog")
        if "network" in stage or "trust" in stage:
            raise InvalidSettingError(
                "a second stage trains the network cells; give its settings as set.NAME"
            )
        own = {
            n.removeprefix(NETWORK_PREFIX): stage.pop(n) for n in list(stage) if n.startswith(NETWORK_PREFIX)
        }
        shape, classes = stage.pop("input_shape", None), stage.pop("num_classes", None)
        if data == search.data:
            shape, classes = shape or search.network.input_shape, classes or search.network.num_classes
        network = {"name": "cells", "input_shape": shape and list(shape), "num_classes": classes}
        settings = own if genotype is None else own | {"genotype": genotype}
        kept = ("data", "data_folder", "trust", "seed", "device", "deterministic", "num_workers")
        values = {name: getattr(search, name) for name in kept} | {"target_sparsity": 0} | stage
        return RunSettings.of(network=NetworkSource.from_json(network | {"settings": settings}), **values)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        axes = [[dict(point) for point in points] for points in self.axes]
        found: dict[str, Any] = {
            "base": self.base.to_json(),
            "axes": axes,
            "title": self.title,
            "preset": self.preset,
        }
        found |= {"bisection": self.bisection.to_json()} if self.bisection else {}
        if self.then:
            found["then"] = [dict(stage) for stage in self.then]
        return found | ({"stop_hopeless": True} if self.stop_hopeless else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepSettings:
        """Return the settings that `to_json` wrote.

        Raises:
            InvalidSettingError: A setting is missing, unknown or out of range.
        """
        axes = data.get("axes", [])
        then = data.get("then", [])
        are_lists = isinstance(axes, list) and isinstance(then, list)
        if not isinstance(data.get("base"), Mapping) or not are_lists:
            raise InvalidSettingError("the settings of a sweep must be an object with 'base' and 'axes'")
        if is_flat(data["base"]):
            axes = migrated_axes(axes, data["base"])
        return cls(
            base=RunSettings.from_json(data["base"]),
            axes=tuple(tuple(points) for points in axes),
            title=str(data.get("title", "")),
            preset=data.get("preset"),
            bisection=BisectionSettings.from_json(data["bisection"]) if data.get("bisection") else None,
            stop_hopeless=data.get("stop_hopeless") is True,
            then=tuple(then),
        )


class Sweep:
    """One sweep, read from its folder; objects of this class hold no state of their own.

    Args:
        folder: Folder of the sweep; its name is the id of the sweep.

    Raises:
        RunNotFoundError: `folder` is not a sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder = folder.parent.parent.resolve() / folder.parent.name / folder.name
        if not has_config(folder):
            require_folder(folder, "sweep")
        self.id = folder.name
        self.runs_folder = folder.parent.parent

    def __repr__(self) -> str:
        return f"Sweep({str(self.folder)!r})"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Document written when the sweep was created: id, time, version, settings.

        Raises:
            DataError: The document is damaged.
        """
        config = read_table(self.folder / CONFIG)
        if config is None or not is_table(config.get("sweep")) or not or_none(is_time)(config.get("created")):
            raise DataError(f"{self.folder / CONFIG} holds no sweep; restore it from a backup, or delete it")
        return config

    @cached_property
    def settings(self) -> SweepSettings:
        """Settings of the sweep.

        Raises:
            InvalidSettingError: The settings were written by a later version, or edited by hand.
        """
        with as_damage(self.folder / CONFIG):
            found = SweepSettings.from_json(self.config["sweep"])
            return replace(found, base=located(self.runs_folder, found.base.to_json()))

    @property
    def is_own(self) -> bool:
        """True if this user has written the settings on this machine, and they are unchanged."""
        return is_marked("sweep", self.config["sweep"], self.config.get("mark"))

    @property
    def points(self) -> tuple[Point, ...]:
        """Point of each run; for a bisection those known so far."""
        search = self.settings.bisection
        if search is None:
            return self._grid + self._trainings()
        trials = self.trials
        next_mu = search.next_mu(trials)
        mus = [trial.mu for trial in trials] + ([] if next_mu is None else [next_mu])
        return tuple({"mu": mu} for mu in mus)

    @cached_property
    def _grid(self) -> tuple[Point, ...]:
        return self.settings.points

    def _trainings(self) -> tuple[Point, ...]:
        """Return the points of the second stages of the first runs, as far as all of these are over."""
        then, found = self.settings.then, list[Point]()
        for index, point in enumerate(self._grid if then else ()):
            run = self.run(index)
            if run is None or not is_over(run):
                break
            for number, stage in enumerate(then):
                data = stage.get("data", self._all[index].data)
                name = f"training {number + 1}" if number else FIRST_TRAINING
                name += f" on {data}" if number and data != self._all[index].data else ""
                found.append({**point, STAGE: name})
        return tuple(found)

    def genotype_of(self, index: int) -> str | None:
        """Return the genotype that the search behind a second stage has found; None where it has none."""
        run = self.run((index - len(self._grid)) // len(self.settings.then))
        try:
            text = None if run is None or run.end is None else run.end.result.get("genotype")
        except NasvizError:  # a damaged run counts as failed
            return None
        return text if isinstance(text, str) and is_genotype(text) else None

    def is_needless(self, index: int) -> bool:
        """Return whether a second stage has nothing to train, because its search has found no genotype."""
        return bool(self.settings.then) and index >= len(self._grid) and self.genotype_of(index) is None

    @property
    def num_possible(self) -> int:
        """Number of runs that a grid can have, with all second stages."""
        return len(self._grid) * (1 + len(self.settings.then))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Finished trials of a bisection, up to the first run that failed."""
        search, trials = self.settings.bisection, list[Trial]()
        while search is not None and (mu := search.next_mu(trials)) is not None:
            run = self.run(len(trials))
            try:
                survivors = (
                    run.end.result.get("survivors") if run is not None and run.end is not None else None
                )
            except NasvizError:  # a damaged run counts as failed
                survivors = None
            if survivors is None:
                break
            trials.append(Trial(mu, int(survivors)))
        return tuple(trials)

    @property
    def found(self) -> Bisection | None:
        """Result of a bisection so far; None if there is none yet, or for a grid."""
        search = self.settings.bisection
        return None if search is None else search.found(self.trials)

    def settings_at(self, index: int) -> RunSettings:
        """Return the settings of the run at `index`."""
        if index >= len(self._grid) and self.settings.then:
            search, number = divmod(index - len(self._grid), len(self.settings.then))
            genotype = self.genotype_of(index)
            if genotype is None:
                raise InvalidSettingError(f"run {self.run_id(search)} has found no genotype to be trained")
            return self.settings.training(self._all[search], genotype, number)
        if self.settings.bisection is None:
            return self._all[index]
        return settings_of(self.settings.base, self.points[index])

    @cached_property
    def _all(self) -> tuple[RunSettings, ...]:
        return self.settings.runs

    @property
    def labels(self) -> Labels:
        """Name, tags and note."""
        return read_labels(self.folder)

    def write_labels(self, labels: Labels) -> None:
        """Replace the labels."""
        write_labels(self.folder, labels)

    def run_id(self, index: int) -> str:
        """Return the id of the run at `index`, whether or not it has started."""
        return f"{self.id}-{index:04d}"

    def run(self, index: int) -> Run | None:
        """Return the run at `index`, or None if it has not started or was deleted."""
        try:
            return Run(self.runs_folder / self.run_id(index))
        except RunNotFoundError:
            return None

    def runs(self) -> tuple[Run | None, ...]:
        """Return all runs in grid order; None for runs that have not started or were deleted."""
        return tuple(self.run(index) for index in range(len(self.points)))

    def problem_at(self, index: int, run: Run) -> str | None:
        """Return why `run` does not belong at `index`, or None if its settings match the grid point.

        A run folder can be copied in under the id of any index. Without this check it would be started, and
        counted, as the run that the grid asks for.
        """
        points = self.points
        if index >= len(points):
            return None
        if self.is_needless(index):
            return f"run {run.id} trains a genotype that the search before it has not found; delete the run"
        wanted, found = placeless(self.settings_at(index)).flat(), placeless(run.settings).flat()
        names = sorted(name for name in wanted if wanted[name] != found.get(name))
        if not names:
            return None
        return (
            f"run {run.id} does not match its point in the grid of sweep {self.id}: it differs in"
            f" {', '.join(names)}; delete the run, then resume the sweep to train it again"
        )

    def summaries(self) -> tuple[RunSummary | None, ...]:
        """Return one summary per run, in grid order; None for runs that have not started or were deleted."""
        return tuple(self._summary(index, run) for index, run in enumerate(self.runs()))

    def _summary(self, index: int, run: Run | None) -> RunSummary | None:
        try:
            found = None if run is None else summarize(run)
        except RunNotFoundError:  # deleted in the meantime
            return None
        if run is None or found is None or found.settings is None:
            return found
        problem = self.problem_at(index, run)
        return found if problem is None else replace(found, state="failed", problem=problem)

    @property
    def is_active(self) -> bool:
        """True if a scheduler holds the lock."""
        return lock.is_held(self.folder)

    @property
    def state(self) -> SweepState:
        """State of the sweep; "stopped" if runs are left but there is no scheduler."""
        require_folder(self.folder, "sweep")
        if self.is_active:
            return "running"
        runs = self.runs()
        if self.is_complete(runs):
            return "done"
        has_begun = is_file(self.folder / PID) or any(run is not None for run in runs)
        return "stopped" if has_begun else "created"

    def is_complete(self, runs: Sequence[Run | None]) -> bool:
        """Return whether all runs are over, but those that have nothing to train."""
        return all(
            is_over(run) if run is not None else self.is_needless(index) for index, run in enumerate(runs)
        )

    @property
    def is_asked_to_stop(self) -> bool:
        """True if the scheduler has been asked to stop."""
        return read_request(self.folder) == "cancel"

    def ask_to_stop(self) -> None:
        """Ask the scheduler to stop: running runs save a checkpoint and end, and no other run starts.

        Raises:
            RunStateError: There is no scheduler.
        """
        if not self.is_active:
            raise RunStateError(f"cannot stop sweep {self.id}: it is {self.state} and has no scheduler")
        write_request(self.folder, "cancel")

    def forget_request(self) -> None:
        """Delete the pending request."""
        forget_request(self.folder)


def is_over(run: Run, states: Collection[str] = OVER) -> bool:
    """Return whether a sweep is done with a run: it ended in one of `states`, or the median rule stopped it.

    A run with a damaged folder counts as failed, because no worker can continue it.
    """
    try:
        is_stopped = run.has_ended_in(("cancelled",)) and read_verdict(run.folder) is not None
        if is_stopped or run.has_ended_in(states):
            return True
        lock.is_held(run.folder)  # raises if the run could not even be marked as failed
        return False
    except RunNotFoundError:
        return False
    except NasvizError:
        return "failed" in states


def is_at_work(run: Run, is_active: Callable[[Run], bool] = lambda run: run.is_active) -> bool:
    """Return whether a run has a worker; a damaged run counts as having none."""
    try:
        return is_active(run)
    except NasvizError:
        return False


def _plain(point: Point) -> Point:
    """Return a point as it reads after a round trip through JSON."""
    if not isinstance(point, Mapping):
        raise InvalidSettingError(f"a point of a grid must be an object of settings; got {str(point)[:60]!r}")
    values = {n: value.to_json() if isinstance(value, NetworkSource) else value for n, value in point.items()}
    return {
        "method" if n == "optimizer" else str(n): list(value) if isinstance(value, tuple) else value
        for n, value in values.items()
    }
