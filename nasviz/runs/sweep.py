"""A sweep: a grid of settings as a set of ordinary runs, with a folder of its own that says which.

The folder of a sweep lies in `.sweeps` of the runs folder and holds the grid; the id of each run follows from
the id of the sweep and the place in the grid. So nothing has to be kept in step: what there is to do is what
the folders of the runs do not show as done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from nasviz.catalog import NetworkSource
from nasviz.errors import DataError, InvalidSettingError, NasvizError, RunNotFoundError, RunStateError
from nasviz.runs import lock
from nasviz.runs.bisection import Bisection, BisectionSettings, Trial
from nasviz.runs.damage import as_damage
from nasviz.runs.documents import is_table, is_time, or_none
from nasviz.runs.files import CONFIG, PID, has_config, is_file, read_table, require_folder
from nasviz.runs.grid import Axis, Point, expand, settings_of
from nasviz.runs.labels import Labels, read_labels, write_labels
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.marks import is_marked
from nasviz.runs.median_rule import verdict_on
from nasviz.runs.requests import forget_request, read_request, write_request
from nasviz.runs.run import Run
from nasviz.runs.subnets import located, placeless
from nasviz.settings import RunSettings, is_flat, migrated_axes

__all__ = ["SWEEPS", "Sweep", "SweepSettings", "SweepState", "is_at_work", "is_over"]

SWEEPS = ".sweeps"
SweepState = Literal["created", "running", "stopped", "done"]
OVER = ("done", "failed")
"""States of a run that a sweep leaves alone, unless it is told to try the failed ones again."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Which runs a sweep holds. Every one of them is checked when this is made.

    Raises:
        InvalidSettingError: The grid holds no run, too many, one twice, or one that cannot be.

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
    """What all of them share."""
    axes: tuple[Axis, ...] = ()
    title: str = ""
    preset: str | None = None
    """Name in the catalog of what this repeats; its published figures are shown beside."""
    bisection: BisectionSettings | None = None
    """In place of axes: a search for the mu that leaves so many groups, one run after the other."""
    stop_hopeless: bool = False
    """Whether runs are stopped by the median rule; see `nasviz.runs.median_rule`."""

    def __post_init__(self) -> None:
        plain = tuple(tuple(_plain(point) for point in points) for points in self.axes)
        object.__setattr__(self, "axes", plain)
        if self.bisection is not None and self.axes:
            raise InvalidSettingError("a bisection chooses each mu itself: leave the grid out")
        texts = [json.dumps(run.to_json(), sort_keys=True) for run in self.runs]
        if len(set(texts)) < len(texts):
            twice = next(point for i, point in enumerate(self.points) if texts[i] in texts[:i])
            raise InvalidSettingError(f"the grid holds the same run twice, at {dict(twice)}; leave one out")

    @property
    def points(self) -> tuple[Point, ...]:
        """What each run changes, in the order of the runs; of a bisection the first alone."""
        if self.bisection is not None:
            return ({"mu": self.bisection.grid[0]},)
        return expand(self.axes)

    @property
    def runs(self) -> tuple[RunSettings, ...]:
        """Settings of each run.

        Raises:
            InvalidSettingError: One of them cannot be; the message names its point.
        """
        found = []
        for point in self.points:
            try:
                found.append(settings_of(self.base, point))
            except InvalidSettingError as error:
                where = ", ".join(f"{name}={value}" for name, value in point.items())
                raise InvalidSettingError(f"at {where or 'its base'}: {error}") from error
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        axes = [[dict(point) for point in points] for points in self.axes]
        found = {"base": self.base.to_json(), "axes": axes, "title": self.title, "preset": self.preset}
        found |= {"bisection": self.bisection.to_json()} if self.bisection else {}
        return found | ({"stop_hopeless": True} if self.stop_hopeless else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepSettings:
        """The settings that `to_json` wrote.

        Raises:
            InvalidSettingError: Something is missing, unknown here, or out of its range.
        """
        axes = data.get("axes", [])
        if not isinstance(data.get("base"), Mapping) or not isinstance(axes, list):
            raise InvalidSettingError("settings of a sweep are a table with 'base', 'axes' and a 'title'")
        if is_flat(data["base"]):
            axes = migrated_axes(axes, data["base"])
        return cls(
            base=RunSettings.from_json(data["base"]),
            axes=tuple(tuple(points) for points in axes),
            title=str(data.get("title", "")),
            preset=data.get("preset"),
            bisection=BisectionSettings.from_json(data["bisection"]) if data.get("bisection") else None,
            stop_hopeless=data.get("stop_hopeless") is True,
        )


class Sweep:
    """One sweep, as its files tell it. Objects of this class hold no state of their own.

    Args:
        folder: Where its files live; its name is the id of the sweep.

    Raises:
        RunNotFoundError: There is no sweep in `folder`.
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
        """What was written when the sweep was created: id, time, version, settings.

        Raises:
            DataError: The document is damaged.
        """
        config = read_table(self.folder / CONFIG)
        if config is None or not is_table(config.get("sweep")) or not or_none(is_time)(config.get("created")):
            raise DataError(f"{self.folder / CONFIG} holds no sweep; restore it from a copy, or delete it")
        return config

    @cached_property
    def settings(self) -> SweepSettings:
        """What was asked for.

        Raises:
            InvalidSettingError: It comes from a later version, or was changed by hand.
        """
        with as_damage(self.folder / CONFIG):
            found = SweepSettings.from_json(self.config["sweep"])
            return replace(found, base=located(self.runs_folder, found.base.to_json()))

    @property
    def is_own(self) -> bool:
        """Whether it was written by this user on this machine, and not changed since."""
        return is_marked("sweep", self.config["sweep"], self.config.get("mark"))

    @property
    def points(self) -> tuple[Point, ...]:
        """What each run changes; of a bisection as far as it is known, so that they become more."""
        search = self.settings.bisection
        if search is None:
            return self._grid
        trials = self.trials
        following = search.next_mu(trials)
        mus = [trial.mu for trial in trials] + ([] if following is None else [following])
        return tuple({"mu": mu} for mu in mus)

    @cached_property
    def _grid(self) -> tuple[Point, ...]:
        return self.settings.points

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Of a bisection: each mu that was tried, with the groups that survived; a failed run ends it."""
        search, trials = self.settings.bisection, list[Trial]()
        while search is not None and (mu := search.next_mu(trials)) is not None:
            run = self.run(len(trials))
            try:
                survivors = (
                    run.end.result.get("survivors") if run is not None and run.end is not None else None
                )
            except NasvizError:  # damaged, which counts as failed
                survivors = None
            if survivors is None:
                break
            trials.append(Trial(mu, int(survivors)))
        return tuple(trials)

    @property
    def found(self) -> Bisection | None:
        """What a bisection has found so far; `None` where nothing, or for a grid."""
        search = self.settings.bisection
        return None if search is None else search.found(self.trials)

    def settings_at(self, index: int) -> RunSettings:
        """Settings of the run at this place."""
        if self.settings.bisection is None:
            return self._all[index]
        return settings_of(self.settings.base, self.points[index])

    @cached_property
    def _all(self) -> tuple[RunSettings, ...]:
        return self.settings.runs

    @property
    def labels(self) -> Labels:
        """Name, tags and note that people gave it."""
        return read_labels(self.folder)

    def write_labels(self, labels: Labels) -> None:
        """Put other labels on it."""
        write_labels(self.folder, labels)

    def run_id(self, index: int) -> str:
        """Id of the run at this place in the grid, whether or not it has begun."""
        return f"{self.id}-{index:04d}"

    def run(self, index: int) -> Run | None:
        """The run at this place; None where it has not begun, or was deleted."""
        try:
            return Run(self.runs_folder / self.run_id(index))
        except RunNotFoundError:
            return None

    def runs(self) -> tuple[Run | None, ...]:
        """All runs, in the order of the grid; None where one has not begun, or was deleted."""
        return tuple(self.run(index) for index in range(len(self.points)))

    def problem_at(self, index: int, run: Run) -> str | None:
        """Return why `run` cannot stand at this place of the grid; None where its settings are those of it.

        A run folder can be copied in under the id of any place. It would then be started, and counted, as
        what the grid asked for.
        """
        points = self.points
        if index >= len(points):
            return None
        wanted, found = placeless(self.settings_at(index)).flat(), placeless(run.settings).flat()
        names = sorted(name for name in wanted if wanted[name] != found.get(name))
        if not names:
            return None
        return (
            f"run {run.id} is not what the grid of sweep {self.id} asks for at this place: it differs in"
            f" {', '.join(names)}; delete the run, then resume the sweep to train it anew"
        )

    def summaries(self) -> tuple[RunSummary | None, ...]:
        """One summary a run, in the order of the grid; None where it has not begun, or was deleted."""
        return tuple(self._summary(index, run) for index, run in enumerate(self.runs()))

    def _summary(self, index: int, run: Run | None) -> RunSummary | None:
        try:
            found = None if run is None else summarize(run)
        except RunNotFoundError:  # deleted between the two looks
            return None
        if run is None or found is None or found.settings is None:
            return found
        problem = self.problem_at(index, run)
        return found if problem is None else replace(found, state="failed", problem=problem)

    @property
    def is_active(self) -> bool:
        """Whether a scheduler lives."""
        return lock.is_held(self.folder)

    @property
    def state(self) -> SweepState:
        """Where it stands: `stopped` where nobody sees to the runs that are left."""
        require_folder(self.folder, "sweep")
        if self.is_active:
            return "running"
        runs = self.runs()
        if all(run is not None and is_over(run) for run in runs):
            return "done"
        has_begun = is_file(self.folder / PID) or any(run is not None for run in runs)
        return "stopped" if has_begun else "created"

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether somebody has asked the scheduler to stop."""
        return read_request(self.folder) == "cancel"

    def ask_to_stop(self) -> None:
        """Ask the scheduler to stop: runs at work save a checkpoint and end, no other one begins.

        Raises:
            RunStateError: There is no scheduler.
        """
        if not self.is_active:
            raise RunStateError(f"cannot stop sweep {self.id}: it is {self.state} and has no scheduler")
        write_request(self.folder, "cancel")

    def forget_request(self) -> None:
        """Drop a request that waits."""
        forget_request(self.folder)


def is_over(run: Run, states: Collection[str] = OVER) -> bool:
    """Return whether a sweep is done with a run: it ended in one of `states`, or the median rule stopped it.

    A run whose folder is damaged counts as failed: no worker can go on with it.
    """
    try:
        is_stopped = run.has_ended_in(("cancelled",)) and verdict_on(run.folder) is not None
        if is_stopped or run.has_ended_in(states):
            return True
        lock.is_held(run.folder)  # raises for a run that could not even be marked as failed
        return False
    except RunNotFoundError:
        return False
    except NasvizError:
        return "failed" in states


def is_at_work(run: Run, is_active: Callable[[Run], bool] = lambda run: run.is_active) -> bool:
    """Return whether a run has a worker; a damaged one has none that anybody could reach."""
    try:
        return is_active(run)
    except NasvizError:
        return False


def _plain(point: Point) -> Point:
    """The same as JSON gives it back."""
    if not isinstance(point, Mapping):
        raise InvalidSettingError(f"a point of a grid is a table of settings; got {str(point)[:60]!r}")
    values = {n: value.to_json() if isinstance(value, NetworkSource) else value for n, value in point.items()}
    return {
        "method" if n == "optimizer" else str(n): list(value) if isinstance(value, tuple) else value
        for n, value in values.items()
    }
