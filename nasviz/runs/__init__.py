"""Training runs as folders: settings, records, the SQLite store, states, lists and comparisons.

A worker writes through one `Writer`; every other process reads files. Nothing here needs torch.
"""

from nasviz.runs.aggregating import METRICS, Cell, Spread, cells, differing_settings, pareto_front, spread
from nasviz.runs.bisection import Bisection, BisectionSettings, Trial, bisect_mu
from nasviz.runs.continuing import continue_run
from nasviz.runs.ending import Ending, EndState
from nasviz.runs.environment import describe_environment, record_environment
from nasviz.runs.exporting import steps_to_csv, to_document
from nasviz.runs.grid import Axis, Point, axis, expand, parse_axis
from nasviz.runs.labels import Labels
from nasviz.runs.listing import RunSummary
from nasviz.runs.presets import is_stand_in, not_printed, preset_sweep, row_of, what_differs
from nasviz.runs.records import Evaluation, Event, StepRecord, Tail, Vectors
from nasviz.runs.requests import Request
from nasviz.runs.run import Run, State
from nasviz.runs.store import Store
from nasviz.runs.store import open_run as open  # noqa: A004 (read as nasviz.runs.open)
from nasviz.runs.subnets import find_subnet, is_subnet, keep_subnet, origin_of
from nasviz.runs.sweep import Sweep, SweepSettings, SweepState
from nasviz.runs.sweep_store import SweepStore, SweepSummary
from nasviz.runs.trackers import Mirror, MLflow, TensorBoard, Trackio, WandB
from nasviz.runs.trust import UserImport, admit, admit_sweep, imports_of, own_folders, require_trusted
from nasviz.runs.writer import Writer
from nasviz.settings import RunSettings, Schedule, plan_steps

__all__ = [
    "METRICS",
    "Axis",
    "Bisection",
    "BisectionSettings",
    "Cell",
    "EndState",
    "Ending",
    "Evaluation",
    "Event",
    "Labels",
    "MLflow",
    "Mirror",
    "Point",
    "Request",
    "Run",
    "RunSettings",
    "RunSummary",
    "Schedule",
    "Spread",
    "State",
    "StepRecord",
    "Store",
    "Sweep",
    "SweepSettings",
    "SweepState",
    "SweepStore",
    "SweepSummary",
    "Tail",
    "TensorBoard",
    "Trackio",
    "Trial",
    "UserImport",
    "Vectors",
    "WandB",
    "Writer",
    "admit",
    "admit_sweep",
    "axis",
    "bisect_mu",
    "cells",
    "continue_run",
    "describe_environment",
    "differing_settings",
    "expand",
    "find_subnet",
    "imports_of",
    "is_stand_in",
    "is_subnet",
    "keep_subnet",
    "not_printed",
    "open",
    "origin_of",
    "own_folders",
    "pareto_front",
    "parse_axis",
    "plan_steps",
    "preset_sweep",
    "record_environment",
    "require_trusted",
    "row_of",
    "spread",
    "steps_to_csv",
    "to_document",
    "what_differs",
]
