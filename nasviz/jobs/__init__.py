"""Work in other processes: tasks that need torch, runs and sweeps.

A task is submitted as a request and comes back as a result, both plain data: `submit(Analyze(source=...))`.
`nasviz.jobs.worker` is what a worker runs; nothing here imports it.
"""

from nasviz.jobs.client import TaskClient, close, shared_client, submit, warm_up
from nasviz.jobs.engines import ENGINES, scheduler_of
from nasviz.jobs.job import Job, JobState, Limits
from nasviz.jobs.launch import cancel_run, is_starting, start_ablation, start_run, start_sweep, stop_sweep
from nasviz.jobs.scheduling import Scheduler
from nasviz.jobs.slots import Slot, local_slots, slots_of
from nasviz.jobs.tasks import (
    Analysis,
    Analyze,
    Comparison,
    Construct,
    Constructed,
    Download,
    DownloadWeights,
    Export,
    Exported,
    ExportedFile,
    ExportFormat,
    Latency,
    Lesson,
    Preview,
    Reopen,
    Reopened,
    Request,
    TimeSubnet,
    TimeVertices,
    Timing,
    TimmNames,
    ViewOnnx,
)
from nasviz.jobs.trust import require_trusted, trust_only

__all__ = [
    "ENGINES",
    "Analysis",
    "Analyze",
    "Comparison",
    "Construct",
    "Constructed",
    "Download",
    "DownloadWeights",
    "Export",
    "ExportFormat",
    "Exported",
    "ExportedFile",
    "Job",
    "JobState",
    "Latency",
    "Lesson",
    "Limits",
    "Preview",
    "Reopen",
    "Reopened",
    "Request",
    "Scheduler",
    "Slot",
    "TaskClient",
    "TimeSubnet",
    "TimeVertices",
    "Timing",
    "TimmNames",
    "ViewOnnx",
    "cancel_run",
    "close",
    "is_starting",
    "local_slots",
    "require_trusted",
    "scheduler_of",
    "shared_client",
    "slots_of",
    "start_ablation",
    "start_run",
    "start_sweep",
    "stop_sweep",
    "submit",
    "trust_only",
    "warm_up",
]
