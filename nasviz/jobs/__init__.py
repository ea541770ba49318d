"""The door: work that needs torch is done in child processes and comes back as data.

`nasviz.jobs.child` is what a child runs; nothing here imports it.
"""

from nasviz.jobs.door import (
    Door,
    analyze,
    close,
    construct,
    export,
    preview,
    reopen,
    shared_door,
    view_onnx,
    warm,
)
from nasviz.jobs.job import Job, JobState
from nasviz.jobs.launch import cancel_run, is_starting, start_run
from nasviz.jobs.process import Limits

__all__ = [
    "Door",
    "Job",
    "JobState",
    "Limits",
    "analyze",
    "cancel_run",
    "close",
    "construct",
    "export",
    "is_starting",
    "preview",
    "reopen",
    "shared_door",
    "start_run",
    "view_onnx",
    "warm",
]
