"""The door: work that needs torch is done in child processes and comes back as data.

`nasviz.jobs.child` is what a child runs; nothing here imports it.
"""

from nasviz.jobs.door import (
    Door,
    analyze,
    close,
    construct,
    download,
    export,
    lesson,
    preview,
    reopen,
    shared_door,
    time_subnet,
    time_vertices,
    timm_names,
    view_onnx,
    warm,
)
from nasviz.jobs.engines import ENGINES, scheduler_of
from nasviz.jobs.job import Job, JobState
from nasviz.jobs.launch import cancel_run, is_starting, start_ablation, start_run
from nasviz.jobs.process import Limits
from nasviz.jobs.scheduling import Scheduler
from nasviz.jobs.slots import Slot, local_slots, slots_of
from nasviz.jobs.sweeping import start_sweep, stop_sweep
from nasviz.jobs.trust import require_trusted, trust_only

__all__ = [
    "ENGINES",
    "Door",
    "Job",
    "JobState",
    "Limits",
    "Scheduler",
    "Slot",
    "analyze",
    "cancel_run",
    "close",
    "construct",
    "download",
    "export",
    "is_starting",
    "lesson",
    "local_slots",
    "preview",
    "reopen",
    "require_trusted",
    "scheduler_of",
    "shared_door",
    "slots_of",
    "start_ablation",
    "start_run",
    "start_sweep",
    "stop_sweep",
    "time_subnet",
    "time_vertices",
    "timm_names",
    "trust_only",
    "view_onnx",
    "warm",
]
